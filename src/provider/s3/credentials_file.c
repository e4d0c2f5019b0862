/* The shared credentials file: sections in brackets, each a profile with `name = value` in lines.
 * https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "provider/s3/credentials.h"
#include "provider/s3/files.h"

enum {
	FILE_MAX = 256 * 1024,
};

/* Cut spaces off both ends, in place. */
static char *trim(char *text)
{
	size_t size;

	text += strspn(text, " \t\r");
	size = strlen(text);
	while (size > 0 && strchr(" \t\r", text[size - 1]) != NULL)
		text[--size] = '\0';
	return text;
}

struct profile {
	const char *access_key, *secret_key, *token;
};

static void take_setting(struct profile *profile, char *line)
{
	char *equals = strchr(line, '=');
	const char *name, *value;

	if (equals == NULL)
		return;
	*equals = '\0';
	name = trim(line);
	value = trim(equals + 1);
	if (strcmp(name, "aws_access_key_id") == 0)
		profile->access_key = value;
	else if (strcmp(name, "aws_secret_access_key") == 0)
		profile->secret_key = value;
	else if (strcmp(name, "aws_session_token") == 0)
		profile->token = value;
}

/* `text` is taken to pieces; the profile's values lie in it. */
static void find_profile(char *text, const char *wanted, struct profile *ret)
{
	bool inside = false;
	char *next;

	for (char *line = text; line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		line = trim(line);
		if (line[0] == '[') {
			char *end = strchr(line, ']');

			if (end != NULL)
				*end = '\0';
			inside = end != NULL && strcmp(trim(line + 1), wanted) == 0;
		} else if (inside && line[0] != '#' && line[0] != ';') {
			take_setting(ret, line);
		}
	}
}

/* The file's path, whether somebody has named it. */
static int path_of(char **ret_path, bool *ret_named, struct pd_error *err)
{
	const char *named = getenv("AWS_SHARED_CREDENTIALS_FILE"), *home = getenv("HOME");

	*ret_named = named != NULL && named[0] != '\0';
	if (!*ret_named && (home == NULL || home[0] == '\0'))
		return PD_NOT_FOUND;
	*ret_path = *ret_named ? pd_strdup(named) : pd_asprintf("%s/.aws/credentials", home);
	return *ret_path != NULL ? 0 : pd_error_set(err, PD_NO_MEMORY, "no memory for a path");
}

int pd_s3_credentials_of_file(struct pd_os *os, const char *named, struct pd_s3_credentials *ret,
			      struct pd_error *err)
{
	const char *wanted = named != NULL ? named : getenv("AWS_PROFILE");
	struct profile profile = { 0 };
	struct pd_buffer text;
	char *path = NULL;
	bool is_named;
	int rc = path_of(&path, &is_named, err);

	if (rc != 0)
		return rc;
	if (wanted == NULL || wanted[0] == '\0')
		wanted = "default";
	pd_buffer_init(&text, FILE_MAX);
	rc = pd_s3_read_file(os, path, &text, err);
	if (rc == PD_NOT_FOUND && is_named)
		rc = pd_error_set(err, PD_PERMISSION,
				  "AWS_SHARED_CREDENTIALS_FILE names '%s', which is not there; correct it",
				  path);
	if (rc == 0) {
		find_profile((char *)text.data, wanted, &profile);
		if (profile.access_key != NULL && profile.secret_key != NULL)
			rc = pd_s3_credentials_set(ret, profile.access_key, profile.secret_key, profile.token,
						   err);
		else if (named == NULL && getenv("AWS_PROFILE") == NULL && profile.access_key == NULL)
			rc = PD_NOT_FOUND;
		else
			rc = pd_error_set(
				err, PD_PERMISSION,
				"'%s' has no aws_access_key_id and aws_secret_access_key for profile "
				"'%.100s'; add them, or name another profile%s",
				path, wanted, named == NULL ? " in AWS_PROFILE" : "");
	}
	if (text.data != NULL)
		pd_crypto_wipe(text.data, text.capacity);
	pd_buffer_done(&text);
	pd_free(path);
	return rc;
}
