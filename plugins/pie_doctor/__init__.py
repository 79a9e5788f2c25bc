"""`pie doctor`: this installation and a composed run, looked over without loading anything. Torch is imported late."""

from pie_doctor.examine import examine
from pie_doctor.report import Finding, Report, Status

__all__ = ["Finding", "Report", "Status", "examine"]
