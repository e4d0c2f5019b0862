#include "provider/place.h"

#include <stdio.h>
#include <string.h>

#include "provider/local.h"
#include "provider/s3.h"

#define S3        "s3://"
#define NAME_SIZE 256 /* of a bucket */

static const char *given(const char *text)
{
	return text != NULL && text[0] != '\0' ? text : NULL;
}

static int parse_style(const char *text, enum pd_s3_style *ret_style, struct pd_error *err)
{
	static const char *const names[] = { "auto", "path", "virtual" };

	*ret_style = PD_S3_STYLE_AUTO;
	if (given(text) == NULL)
		return 0;
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(text, names[i]) == 0) {
			*ret_style = (enum pd_s3_style)i;
			return 0;
		}
	return pd_error_set(err, PD_INVALID,
			    "the style of an S3 address is auto, path or virtual, not '%.40s'", text);
}

/* s3://bucket, s3://bucket/prefix */
static int open_s3(struct pd_os *os, const struct pd_object_place *place, const char *what,
		   struct pd_object_store **ret_store, struct pd_error *err)
{
	struct pd_s3_options options = { .endpoint = given(place->s3_endpoint),
					 .region = given(place->s3_region),
					 .look_first = place->s3_look_first,
					 .ca_file = given(place->s3_ca_file),
					 .profile = given(place->s3_profile),
					 .sse = given(place->s3_encryption),
					 .sse_kms_key_id = given(place->s3_kms_key) };
	const char *bucket = place->address + sizeof S3 - 1;
	size_t size = strcspn(bucket, "/");
	char name[NAME_SIZE], prefix[PD_OBJECT_NAME_MAX + 1];
	int result;

	if (size == 0 || size >= sizeof name)
		return pd_error_set(
			err, PD_INVALID,
			"'%.200s' names no bucket: the %s is at s3://BUCKET or s3://BUCKET/PREFIX",
			place->address, what);
	(void)snprintf(name, sizeof name, "%.*s", (int)size, bucket);
	if (snprintf(prefix, sizeof prefix, "%s", bucket[size] == '/' ? bucket + size + 1 : "") >=
	    (int)sizeof prefix)
		return pd_error_set(err, PD_INVALID, "the prefix in the address of the %s is too long", what);
	size = strlen(prefix);
	if (size > 0 && prefix[size - 1] == '/')
		prefix[size - 1] = '\0';
	options.bucket = name;
	options.prefix = given(prefix);
	result = parse_style(place->s3_style, &options.style, err);
	return result == 0 ? pd_object_store_s3_new(os, &options, ret_store, err) : result;
}

static int open_store(struct pd_os *os, const struct pd_object_place *place, const char *what,
		      struct pd_object_store **ret_store, struct pd_error *err)
{
	int result;

	if (strncmp(place->address, S3, sizeof S3 - 1) == 0)
		return open_s3(os, place, what, ret_store, err);
	if (strstr(place->address, "://") != NULL)
		return pd_error_set(
			err, PD_INVALID,
			"'%.200s' is no address for the %s: give a directory, or s3://BUCKET/PREFIX",
			place->address, what);
	result = pd_object_store_local_new(os, place->address, ret_store, err);
	if (result == PD_NOT_FOUND)
		return pd_error_set(err, result,
				    "there is no directory '%.300s' for the %s: make it, or mount it",
				    place->address, what);
	return result;
}

int pd_object_place_open(struct pd_os *os, const struct pd_object_place *place, const char *what,
			 struct pd_object_store **ret_store, struct pd_error *err)
{
	int result = open_store(os, place, what, ret_store, err);

	if (result == 0)
		pd_object_store_watch(*ret_store, &place->watch);
	return result;
}
