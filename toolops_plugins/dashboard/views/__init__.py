"""The pages: scripts that Streamlit runs, one for each entry of the navigation."""
