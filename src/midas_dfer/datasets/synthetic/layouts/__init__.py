"""Made-up copies of the published data sets, each in its official layout and with the traps of the real one."""
