"""`pie doctor`: this installation and a composed run, looked over without loading anything. Torch is imported late."""

from pie_framework.doctor.examine import examine
from pie_framework.doctor.report import Finding, Report, Status

__all__ = ["Finding", "Report", "Status", "examine"]
