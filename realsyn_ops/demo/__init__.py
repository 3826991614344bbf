"""Raw input for a first run: real documents out of Debian packages, or a user's own folder. No stage is called here."""

from realsyn_ops.demo.documents import DAYS, DEFAULT_DOCUMENTS, DemoInput, make_demo_input
from realsyn_ops.demo.folder import FolderInput, from_folder

__all__ = ["DAYS", "DEFAULT_DOCUMENTS", "DemoInput", "FolderInput", "from_folder", "make_demo_input"]
