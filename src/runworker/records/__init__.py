"""Pages for people: the batch record of a run, and the recall of a lot."""

from runworker.records.batch_record import record_page
from runworker.records.reading import read_run_record
from runworker.records.recall_page import recall_csv, recall_page
from runworker.records.run_record import RunRecord

__all__ = ["RunRecord", "read_run_record", "recall_csv", "recall_page", "record_page"]
