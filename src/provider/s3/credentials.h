/* Who we are to the service, and where that is written: as AWS's own tools look for it. */
#ifndef PD_PROVIDER_S3_CREDENTIALS_H
#define PD_PROVIDER_S3_CREDENTIALS_H

#include "os/os.h"
#include "provider/s3/http.h"

struct pd_s3_credentials {
	char access_key[256];
	char secret_key[256];
	char *session_token; /* NULL: none */
	uint64_t expires_us; /* since 1970; 0: never */
};

/* Where they come from, and those of now. */
struct pd_s3_identity {
	struct pd_os *os;
	struct pd_http *http;
	const char *region;
	char *profile; /* the one place where they are looked for; NULL: everywhere */
	bool given;    /* with the options: nothing is searched for */
	bool known;
	struct pd_s3_credentials credentials;
};

/* Those of now, which are good for some minutes more; searched for as needed. They stay what they are until the next call.
 * Errors: PD_PERMISSION: there are none, and where was looked; PD_AGAIN: who should know them does not answer. */
PD_MUST_CHECK int pd_s3_identity_get(struct pd_s3_identity *identity,
				     const struct pd_s3_credentials **ret_credentials, struct pd_error *err);
/* The service says that they have expired: the next call searches. False: they were given, and there are no others. */
bool pd_s3_identity_expire(struct pd_s3_identity *identity);
/* Nothing of a secret stays in memory. */
void pd_s3_credentials_done(struct pd_s3_credentials *credentials);

/* One place each. PD_NOT_FOUND: not there, look on. */
PD_MUST_CHECK int pd_s3_credentials_of_environment(struct pd_s3_credentials *ret, struct pd_error *err);
PD_MUST_CHECK int pd_s3_credentials_of_web_identity(struct pd_s3_identity *identity,
						    struct pd_s3_credentials *ret, struct pd_error *err);
/* `profile` NULL: that of AWS_PROFILE, else "default". */
PD_MUST_CHECK int pd_s3_credentials_of_file(struct pd_os *os, const char *profile,
					    struct pd_s3_credentials *ret, struct pd_error *err);
PD_MUST_CHECK int pd_s3_credentials_of_container(struct pd_s3_identity *identity,
						 struct pd_s3_credentials *ret, struct pd_error *err);
PD_MUST_CHECK int pd_s3_credentials_of_machine(struct pd_s3_identity *identity, struct pd_s3_credentials *ret,
					       struct pd_error *err);

/* PD_TOO_LARGE: no key is that long; PD_NO_MEMORY. `token` NULL or "": none. */
PD_MUST_CHECK int pd_s3_credentials_set(struct pd_s3_credentials *ret, const char *access_key,
					const char *secret_key, const char *token, struct pd_error *err);

#endif
