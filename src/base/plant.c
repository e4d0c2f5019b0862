/* Which planted bug is loose. Only a planted build has this file. */
#include "base/plant.h"

#ifdef PD_PLANTED
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plant_names.h" /* made of plant.h when building: pd_plant_names[] */

#define VARIABLE "PERDURE_PLANT"

/* Read once, before anything else runs. */
static enum pd_plant chosen = PD_PLANT_NONE;

__attribute__((constructor)) static void choose(void)
{
	const char *name = getenv(VARIABLE);

	if (name == NULL || *name == '\0')
		return;
	for (unsigned i = 0; i < sizeof pd_plant_names / sizeof pd_plant_names[0]; i++) {
		if (strcmp(name, pd_plant_names[i]) != 0)
			continue;
		chosen = (enum pd_plant)i;
		return;
	}
	(void)fprintf(stderr, VARIABLE ": src/base/plant.h has no plant '%s'\n", name);
	exit(2);
}

bool pd_plant(enum pd_plant plant)
{
	return plant == chosen && plant != PD_PLANT_NONE;
}
#endif
