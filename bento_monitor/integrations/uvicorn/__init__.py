"""What touches uvicorn's private parts."""
