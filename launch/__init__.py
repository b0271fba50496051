"""How a job reaches machines, never what it does: the xlrm command."""
