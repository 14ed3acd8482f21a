"""Run the notebooks and store their new outputs. Run it on purpose only: the tests compare with the stored outputs.

``python notebooks/refresh.py [NAME ...]``; review the diff before you commit it.
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def refresh(path):
    notebook = nbformat.read(path, as_version=4)
    # Give background work one second to update its static snapshot.
    notebook.cells.append(nbformat.v4.new_code_cell("import time; time.sleep(1)"))
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": FOLDER}}
    ).execute()
    notebook.cells.pop()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            # A widget has no kernel to talk to when the notebook is opened again; its static snapshot stays.
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    nbformat.write(notebook, path)
    print(f"refreshed {path.name}")


if __name__ == "__main__":
    os.environ["STOCKLEAN_PROGRESS"] = "0"
    names = sys.argv[1:] or sorted(path.name for path in FOLDER.glob("*.ipynb"))
    for name in names:
        refresh(FOLDER / name)
