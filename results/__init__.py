"""Run records, statistics, tables, figures and the report. Imports no other room."""
