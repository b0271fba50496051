"""Exhibits: tables and figures as data, and how they are drawn and written."""
