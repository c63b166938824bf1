"""The data sets by name: an explicit table, nothing registers itself; docs/extending.md says how to add one."""

from midas_dfer.datasets import folders, table
from midas_dfer.datasets.data_set import DataSet
from midas_dfer.datasets.published import afew, blemore, crema_d, dfew, fer2013, ferv39k, mafw
from midas_dfer.datasets.tools import cvat, label_studio
from midas_dfer.registry import Registry

DATASETS = Registry(
    "data set",
    "midas_dfer.datasets",
    DataSet,
    {
        "dfew": dfew.DATA_SET,
        "ferv39k": ferv39k.DATA_SET,
        "afew": afew.DATA_SET,
        "mafw": mafw.DATA_SET,
        "crema_d": crema_d.DATA_SET,
        "blemore": blemore.DATA_SET,
        "ferplus": fer2013.DATA_SET,
        "table": table.DATA_SET,
        "folders": folders.DATA_SET,
        "label_studio": label_studio.DATA_SET,
        "cvat": cvat.DATA_SET,
    },
)
"""What `midas prepare` and `midas check` read; to these the command line adds the synthetic faces of `synthetic`."""
