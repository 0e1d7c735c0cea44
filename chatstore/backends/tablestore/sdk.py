"""Alibaba Cloud's SDK for Tablestore, without what it says of parts that this Python has no use for."""

from __future__ import annotations

import logging
import warnings

# Where nobody configured logging, it would print on each start that its codec in C++ is for another Python.
logging.getLogger("tablestore").addHandler(logging.NullHandler())
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ImportWarning)
    from tablestore import (
        BatchGetRowRequest,
        BatchWriteRowRequest,
        CapacityUnit,
        ComparatorType,
        CompositeColumnCondition,
        Condition,
        DeleteRowItem,
        LogicalOperator,
        OTSClient,
        OTSClientError,
        OTSServiceError,
        PutRowItem,
        ReservedThroughput,
        RowExistenceExpectation,
        SingleColumnCondition,
        TableInBatchGetRowItem,
        TableInBatchWriteRowItem,
        TableMeta,
        TableOptions,
    )
    from tablestore import Row as SdkRow
    from tablestore.retry import NoRetryPolicy

__all__ = [
    "BatchGetRowRequest",
    "BatchWriteRowRequest",
    "CapacityUnit",
    "ComparatorType",
    "CompositeColumnCondition",
    "Condition",
    "DeleteRowItem",
    "LogicalOperator",
    "NoRetryPolicy",
    "OTSClient",
    "OTSClientError",
    "OTSServiceError",
    "PutRowItem",
    "ReservedThroughput",
    "RowExistenceExpectation",
    "SdkRow",
    "SingleColumnCondition",
    "TableInBatchGetRowItem",
    "TableInBatchWriteRowItem",
    "TableMeta",
    "TableOptions",
]
