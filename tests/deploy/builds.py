"""Builds of kustomize, each made once in a process of tests: one takes half a second of processor time.

Not for folders that a test writes: what is built stays as it was first.
"""

import functools

from deploy.manifests import kustomize

text_of = functools.cache(kustomize.text_of)
city = functools.cache(kustomize.city)
