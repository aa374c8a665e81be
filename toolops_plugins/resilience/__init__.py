"""What stands between a call and a callee in trouble."""
