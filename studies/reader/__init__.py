"""The packaged reader: from the published pictures and votes of FER+ to the files in `midas_dfer.readers`."""
