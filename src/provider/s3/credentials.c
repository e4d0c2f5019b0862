/* Those of now: which place they come from, and when they are asked for again. */
#include "provider/s3/credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Before they expire: a request that is signed with them has to arrive, and be answered, too. */
#define SPARE_US ((uint64_t)5 * 60 * 1000000)

int pd_s3_credentials_set(struct pd_s3_credentials *ret, const char *access_key, const char *secret_key,
			  const char *token, struct pd_error *err)
{
	char *copy = NULL;

	if (strlen(access_key) >= sizeof ret->access_key || strlen(secret_key) >= sizeof ret->secret_key)
		return pd_error_set(
			err, PD_TOO_LARGE,
			"an access key and its secret key have less than 256 bytes each; correct them");
	if (token != NULL && token[0] != '\0') {
		copy = pd_strdup(token);
		if (copy == NULL)
			return pd_error_set(err, PD_NO_MEMORY, "no memory for credentials");
	}
	*ret = (struct pd_s3_credentials){ .session_token = copy };
	(void)snprintf(ret->access_key, sizeof ret->access_key, "%s", access_key);
	(void)snprintf(ret->secret_key, sizeof ret->secret_key, "%s", secret_key);
	return 0;
}

void pd_s3_credentials_done(struct pd_s3_credentials *credentials)
{
	if (credentials->session_token != NULL)
		pd_crypto_wipe(credentials->session_token, strlen(credentials->session_token));
	pd_free(credentials->session_token);
	pd_crypto_wipe(credentials, sizeof *credentials);
}

int pd_s3_credentials_of_environment(struct pd_s3_credentials *ret, struct pd_error *err)
{
	const char *access_key = getenv("AWS_ACCESS_KEY_ID"), *secret_key = getenv("AWS_SECRET_ACCESS_KEY");

	if (access_key == NULL || access_key[0] == '\0')
		return PD_NOT_FOUND;
	if (secret_key == NULL || secret_key[0] == '\0')
		return pd_error_set(
			err, PD_PERMISSION,
			"AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not; set both or none");
	return pd_s3_credentials_set(ret, access_key, secret_key, getenv("AWS_SESSION_TOKEN"), err);
}

/* In the order of AWS's own tools. */
static int search(struct pd_s3_identity *identity, struct pd_s3_credentials *ret, struct pd_error *err)
{
	int rc = identity->profile != NULL
			 ? pd_s3_credentials_of_file(identity->os, identity->profile, ret, err)
			 : pd_s3_credentials_of_environment(ret, err);

	if (identity->profile != NULL)
		return rc == PD_NOT_FOUND
			       ? pd_error_set(err, PD_PERMISSION,
					      "there is no shared credentials file with the profile "
					      "'%.100s': write one, or name it in "
					      "AWS_SHARED_CREDENTIALS_FILE",
					      identity->profile)
			       : rc;
	if (rc == PD_NOT_FOUND)
		rc = pd_s3_credentials_of_web_identity(identity, ret, err);
	if (rc == PD_NOT_FOUND)
		rc = pd_s3_credentials_of_file(identity->os, NULL, ret, err);
	if (rc == PD_NOT_FOUND)
		rc = pd_s3_credentials_of_container(identity, ret, err);
	if (rc == PD_NOT_FOUND)
		rc = pd_s3_credentials_of_machine(identity, ret, err);
	if (rc == PD_NOT_FOUND)
		return pd_error_set(
			err, PD_PERMISSION,
			"no credentials for S3: neither in the options nor in the environment "
			"(AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE), the shared credentials file, "
			"the container or the machine's metadata; put them into one of these");
	return rc;
}

int pd_s3_identity_get(struct pd_s3_identity *identity, const struct pd_s3_credentials **ret_credentials,
		       struct pd_error *err)
{
	uint64_t now_us = pd_os_real_us(identity->os), expires_us = identity->credentials.expires_us;
	struct pd_s3_credentials found = { 0 };
	int rc;

	*ret_credentials = &identity->credentials;
	if (identity->known && (expires_us == 0 || expires_us > now_us + SPARE_US))
		return 0;
	rc = search(identity, &found, err);
	/* What is still good is good enough for now. */
	if (rc == PD_AGAIN && identity->known && expires_us > now_us)
		return 0;
	if (rc != 0)
		return rc;
	pd_s3_credentials_done(&identity->credentials);
	identity->credentials = found;
	identity->known = true;
	return 0;
}

bool pd_s3_identity_expire(struct pd_s3_identity *identity)
{
	if (identity->given)
		return false;
	identity->known = false;
	return true;
}
