"""Pages for people: the batch record of a run, and the recall of a lot."""

from runworker.batch_records.batch_record import record_page
from runworker.batch_records.reading import read_run_record
from runworker.batch_records.recall_page import recall_csv, recall_page
from runworker.batch_records.run_record import RunRecord

__all__ = ["RunRecord", "read_run_record", "recall_csv", "recall_page", "record_page"]
