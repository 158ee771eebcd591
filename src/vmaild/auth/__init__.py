"""Who someone is: passwords."""
