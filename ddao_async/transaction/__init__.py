"""Several documents as one: `plan` decides, `commit` carries out, `buffer` holds what was read and shall be written."""

from .buffer import Transaction, TransactionDocuments
from .retry import again

__all__ = ["Transaction", "TransactionDocuments", "again"]
