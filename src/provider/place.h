/* An object store by its address, as people name one: a directory, or "s3://bucket/prefix".
 *
 * Who we are at a service is not in it: s3.h says where credentials are looked for. */
#ifndef PD_PROVIDER_PLACE_H
#define PD_PROVIDER_PLACE_H

#include "os/os.h"
#include "provider/object_store.h"

/* What comes beside an address of S3; NULL or "": what s3.h has for that. */
struct pd_object_place {
	const char *address;
	const char *s3_endpoint, *s3_region;
	const char *s3_style; /* "auto", "path" or "virtual" */
	bool s3_look_first;   /* s3.h, look_first */
	const char *s3_ca_file;
	const char *
		s3_profile; /* of the shared credentials file; NULL or "": who we are is looked for as s3.h has it */
	const char *s3_encryption; /* by the service: "AES256", "aws:kms" … */
	const char *s3_kms_key;    /* with "aws:kms" */
	struct pd_object_watch
		watch; /* who is asked during each call, from the first on; go_on NULL: nobody */
};

/* Does not go to the network. `what` is what the store is for: "archive". PD_INVALID: the address is none; PD_NOT_FOUND: there is no such directory;
 * PD_NO_MEMORY. */
PD_MUST_CHECK int pd_object_place_open(struct pd_os *os, const struct pd_object_place *place,
				       const char *what, struct pd_object_store **ret_store,
				       struct pd_error *err);

#endif
