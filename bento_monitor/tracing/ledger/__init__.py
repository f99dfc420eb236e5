"""The ledger: one small record per request, and the stages computed from its timestamps."""
