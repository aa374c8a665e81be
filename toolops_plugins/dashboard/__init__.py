"""The dashboard: pages in Streamlit that read a ledger, and nothing else."""
