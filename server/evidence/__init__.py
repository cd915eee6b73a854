"""The hand-over package: made here, and checked here by code that trusts nothing but the keys it is given.

`verify` and what it imports (`checks`, `bag`, `claims` …) use `agent.core` and the standard library only: they become
`verify.pyz`. `package`, `excerpt`, `report` and `audit` are for the operator's side.
"""
