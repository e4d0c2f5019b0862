/* An object store in a bucket: S3 of AWS, or a service that speaks as it does. */
#ifndef PD_PROVIDER_S3_H
#define PD_PROVIDER_S3_H

#include "os/os.h"
#include "provider/object_store.h"

enum pd_s3_style {
	PD_S3_STYLE_AUTO, /* the bucket in the host's name at AWS, in the path elsewhere */
	PD_S3_STYLE_PATH,
	PD_S3_STYLE_VIRTUAL,
};

enum pd_s3_retention {
	PD_S3_RETENTION_NONE, /* the bucket has no object lock: nothing can be retained */
	PD_S3_RETENTION_GOVERNANCE,
	PD_S3_RETENTION_COMPLIANCE, /* not even the owner of the account can shorten it */
};

struct pd_s3_options {
	const char *bucket;
	const char *prefix;   /* of all keys, without the slash behind it: "perdure/main"; NULL: none */
	const char *endpoint; /* "https://host:port"; NULL: AWS in that region */
	const char *region;   /* NULL: AWS_REGION, AWS_DEFAULT_REGION, else us-east-1 */
	enum pd_s3_style style;
	const char *ca_file; /* PEM; NULL: whom the system trusts */

	/* All NULL: searched for, as AWS's own tools do: the environment, a web identity, the shared credentials file, the container, the
	 * machine's metadata. They are asked for again before they expire. */
	const char *access_key, *secret_key;
	const char *session_token;
	const char *
		profile; /* instead: of the shared credentials file, and looked for nowhere else; NULL: none */

	size_t part_size_bytes; /* larger objects go in parts, one of which is in memory; 0: 8 MiB. AWS wants 5 MiB or more */
	unsigned attempts;  /* of each request; 0: 8, which take a quarter of a minute */
	unsigned timeout_s; /* of a connection that carries next to nothing; 0: 30 */

	const char *sse;            /* "AES256", "aws:kms", …; NULL: what the bucket does by itself */
	const char *sse_kms_key_id; /* with "aws:kms"; NULL: the account's */
	const uint8_t *
		sse_key; /* 32 bytes of our own that the service encrypts with, and forgets; NULL: none. Not with `sse` */
	enum pd_s3_retention retention;

	/* A put creates an object only where there is none, which the service must see to (If-None-Match). Whether it does so is tried
	 * out by the first put. Where it does not, a put is refused; or, with this, it looks first, and two that put one name
	 * in the same moment may both be told 0: for who knows that nobody else writes there. */
	bool look_first;
};

/* Does not go to the network. The options and their strings may go afterwards.
 * Errors: PD_INVALID: an option is wrong, and which. */
PD_MUST_CHECK int pd_object_store_s3_new(struct pd_os *os, const struct pd_s3_options *options,
					 struct pd_object_store **ret_store, struct pd_error *err);

#endif
