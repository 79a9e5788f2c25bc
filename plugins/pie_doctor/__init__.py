"""`pie doctor`: whether a run can go on this machine, with which files and under which licences."""
