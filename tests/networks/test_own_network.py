"""A network of a user's own: one declaration and one class of the NumPy engine, and everything else is there."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from helpers.mathematics import numerical_logdet
from pyinvnets.arrays.spec import ArraySpec
from pyinvnets.engines import numpy as numpy_engine
from pyinvnets.engines.numpy.kernels.params import Param
from pyinvnets.networks.base.flow import Flow
