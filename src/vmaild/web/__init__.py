"""The web: pages for administrators, co-administrators and account owners, and the REST API."""
