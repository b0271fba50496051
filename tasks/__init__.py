"""SeqIO tasks, one file per dataset. Imported as xlrm.tasks.<name>."""

if __name__ != "xlrm.tasks":
  raise ImportError(
    f"this package is xlrm.tasks, not {__name__}: a second module would "
    "register every task twice; write `import xlrm.tasks.miniworld`"
  )
