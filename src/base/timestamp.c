#include "base/timestamp.h"

#include <stdio.h>
#include <time.h>

#include "base/assert.h"

void pd_timestamp_format(uint64_t time_us, unsigned digits, char ret_text[PD_TIMESTAMP_SIZE])
{
	time_t seconds = (time_t)(time_us / 1000000);
	unsigned fraction = (unsigned)(time_us % 1000000);
	struct tm parts;
	size_t used;

	PD_ASSERT(digits <= 6);
	ret_text[0] = '\0';
	if (gmtime_r(&seconds, &parts) == NULL)
		return;
	used = strftime(ret_text, PD_TIMESTAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
	for (unsigned i = digits; i < 6; i++)
		fraction /= 10;
	if (digits > 0)
		used += (size_t)snprintf(ret_text + used, PD_TIMESTAMP_SIZE - used, ".%0*u", (int)digits,
					 fraction);
	(void)snprintf(ret_text + used, PD_TIMESTAMP_SIZE - used, "Z");
}
