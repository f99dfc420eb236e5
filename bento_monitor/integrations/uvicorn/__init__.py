"""The hooks into uvicorn's private parts."""
