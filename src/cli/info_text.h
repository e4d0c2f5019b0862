/* The text of INFO: lines "name:value". */
#ifndef PD_CLI_INFO_TEXT_H
#define PD_CLI_INFO_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/slice.h"

/* The value of a name; empty where there is none. It points into the text. */
struct pd_slice pd_info_value(struct pd_slice info, const char *name);
/* The same as a number; 0 where there is none. */
uint64_t pd_info_number(struct pd_slice info, const char *name);
/* "count=2,sum=310,7=1,8=1". What is not understood is left at zero. */
void pd_info_histogram(struct pd_slice info, const char *name, struct pd_histogram *ret_histogram);

/* The next line whose name begins with `prefix`, from *at on: the rest of its name, and its value. false: there is none. */
bool pd_info_next(struct pd_slice info, const char *prefix, size_t *at, struct pd_slice *ret_name,
		  struct pd_slice *ret_value);
/* The number behind "name=" in a value of fields separated by commas: "calls=4,usec=27"; 0 where there is none. */
uint64_t pd_info_field(struct pd_slice value, const char *name);

#endif
