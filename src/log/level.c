#include "log/level.h"

#include "base/assert.h"

static const char *const level_names[PD_LEVEL_COUNT] = {
	[PD_LEVEL_UNSET] = "default",           [PD_LEVEL_NONE] = "none",
	[PD_LEVEL_PERFORMANCE] = "performance", [PD_LEVEL_STANDARD] = "standard",
	[PD_LEVEL_STRICT] = "strict",           [PD_LEVEL_FULL] = "full",
	[PD_LEVEL_CRITICAL] = "critical",
};

const char *pd_level_name(enum pd_level level)
{
	PD_ASSERT(level < PD_LEVEL_COUNT);
	return level_names[level];
}

bool pd_level_parse(struct pd_slice name, enum pd_level *ret_level)
{
	for (int level = 0; level < PD_LEVEL_COUNT; level++) {
		if (pd_slice_equal_nocase(name, level_names[level])) {
			*ret_level = (enum pd_level)level;
			return true;
		}
	}
	return false;
}
