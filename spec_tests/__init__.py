"""The shared spec: the contract every backend keeps, the suite that checks it, and the study built on both."""

import pkgutil

# A project may have a plain folder of this name, without __init__.py: what lies there stays importable beside this.
__path__ = pkgutil.extend_path(__path__, __name__)
