#pragma once

/// Every section of a recipe that is an option struct, in the order of the reference.
#include "core/schema/augment.h"
#include "core/schema/averaging.h"
#include "core/schema/dataset.h"
#include "core/schema/eval.h"
#include "core/schema/experiment.h"
#include "core/schema/frontend.h"
#include "core/schema/kd.h"
#include "core/schema/model.h"
#include "core/schema/optimiser.h"
#include "core/schema/patchout.h"
#include "core/schema/pretrain.h"
#include "core/schema/sampler.h"
#include "core/schema/schedule.h"
#include "core/schema/tome.h"
#include "core/schema/train.h"
