/* What the settings say of object stores. */
#ifndef PD_CONFIG_PLACE_H
#define PD_CONFIG_PLACE_H

#include "provider/place.h"

struct pd_config;

/* The store at that address, with the settings for S3 (--s3-…). The texts are the configuration's; NULL: there is none, and nothing is said beside the
 * address. */
struct pd_object_place pd_config_place(const struct pd_config *config, const char *address);

#endif
