#pragma once

// Empty on purpose, see gloo/algorithm.h.
