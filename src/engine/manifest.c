#include "engine/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/memory.h"
#include "base/plant.h"

#define TEXT_MAX      512
#define EPOCHS_LEAST  4096u      /* how far a copy's epoch is from the last one … */
#define EPOCHS_CHANCE (1u << 20) /* … and by chance so much more */

char *pd_manifest_log_directory(const char *directory, uint32_t shard)
{
	return pd_asprintf("%s/log/%04u", directory, shard);
}

uint64_t pd_manifest_far_epoch(struct pd_os *os, uint64_t epoch)
{
	uint32_t chance;

	pd_os_random(os, &chance, sizeof chance);
	return epoch + EPOCHS_LEAST + chance % EPOCHS_CHANCE;
}

/* ---- reading ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_cluster(const char *text, uint8_t cluster_id[PD_CLUSTER_ID_SIZE])
{
	for (size_t i = 0; i < PD_CLUSTER_ID_SIZE; i++) {
		int high = hex_digit(text[2 * i]);
		int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

		if (low < 0)
			return false;
		cluster_id[i] = (uint8_t)(high << 4 | low);
	}
	return text[2 * PD_CLUSTER_ID_SIZE] == '\n';
}

/* What follows "name " in the text. NULL: no such line. */
static const char *line(const char *text, const char *name)
{
	size_t size = strlen(name);

	while (text != NULL && *text != '\0') {
		if (strncmp(text, name, size) == 0 && text[size] == ' ')
			return text + size + 1;
		text = strchr(text, '\n');
		if (text != NULL)
			text++;
	}
	return NULL;
}

static bool parse_number(const char *text, uint64_t *ret_number)
{
	int64_t number;
	const char *end = text == NULL ? NULL : strchr(text, '\n');

	if (end == NULL || !pd_slice_to_int64(pd_slice(text, (size_t)(end - text)), &number) || number < 0)
		return false;
	*ret_number = (uint64_t)number;
	return true;
}

static int parse(const char *text, const char *path, struct pd_manifest *ret_manifest, struct pd_error *err)
{
	struct pd_manifest manifest = { 0 };
	const char *cluster = line(text, "cluster");
	const char *next = line(text, "next");
	const char *crc = line(text, "crc");
	uint64_t version, shards;
	char expected[16];

	if (!parse_number(line(text, "perdure"), &version))
		return pd_error_set(err, PD_CORRUPT, "%s is damaged: it does not begin as a manifest does",
				    path);
	if (version > PD_DIRECTORY_FORMAT_VERSION)
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "%s has format %" PRIu64
				    ", this build knows up to %d: use a newer Perdure",
				    path, version, PD_DIRECTORY_FORMAT_VERSION);
	if (crc == NULL)
		return pd_error_set(err, PD_CORRUPT, "%s is damaged: it is cut off", path);
	(void)snprintf(expected, sizeof expected, "%08x\n",
		       pd_crc32c(0, text, (size_t)(crc - (sizeof "crc " - 1) - text)));
	if (strcmp(crc, expected) != 0)
		return pd_error_set(err, PD_CORRUPT, "%s is damaged: its checksum is wrong", path);
	if (cluster == NULL || !parse_cluster(cluster, manifest.cluster_id) ||
	    !parse_number(line(text, "shards"), &shards) ||
	    !parse_number(line(text, "epoch"), &manifest.epoch) || shards != 1 ||
	    (next != NULL && !parse_number(next, &manifest.next_epoch)))
		return pd_error_set(err, PD_CORRUPT,
				    "%s does not make sense: put it back from a copy of the directory", path);
	manifest.shards = (uint32_t)shards;
	*ret_manifest = manifest;
	return 0;
}

int pd_manifest_read(struct pd_os *os, const char *directory, struct pd_manifest *ret_manifest,
		     struct pd_error *err)
{
	char *path = pd_asprintf("%s/MANIFEST", directory);
	struct pd_os_file *file = NULL;
	char text[TEXT_MAX + 1];
	size_t size;
	int result;

	if (path == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while reading the manifest");
	result = pd_os_open(os, path, PD_OS_READ, &file, err);
	if (result == 0)
		result = pd_os_read(file, text, TEXT_MAX, 0, &size, err);
	pd_os_close(file);
	if (result == 0) {
		text[size] = '\0';
		result = parse(text, path, ret_manifest, err);
	}
	pd_free(path);
	return result;
}

/* ---- writing ---- */

static size_t format(const struct pd_manifest *manifest, char text[TEXT_MAX])
{
	char cluster[2 * PD_CLUSTER_ID_SIZE + 1];
	int size;

	for (size_t i = 0; i < PD_CLUSTER_ID_SIZE; i++)
		(void)snprintf(cluster + 2 * i, 3, "%02x", manifest->cluster_id[i]);
	size = snprintf(text, TEXT_MAX, "perdure %d\ncluster %s\nshards %u\nepoch %" PRIu64 "\n",
			PD_DIRECTORY_FORMAT_VERSION, cluster, manifest->shards, manifest->epoch);
	if (manifest->next_epoch > 0)
		size += snprintf(text + size, TEXT_MAX - (size_t)size, "next %" PRIu64 "\n",
				 manifest->next_epoch);
	size += snprintf(text + size, TEXT_MAX - (size_t)size, "crc %08x\n",
			 pd_crc32c(0, text, (size_t)size));
	return (size_t)size;
}

int pd_manifest_write(struct pd_os *os, const char *directory, const struct pd_manifest *manifest,
		      struct pd_error *err)
{
	char *path = pd_asprintf("%s/MANIFEST", directory);
	char *temporary = pd_asprintf("%s/MANIFEST.new", directory);
	struct pd_os_file *file = NULL;
	char text[TEXT_MAX];
	size_t size = format(manifest, text);
	int result = PD_NO_MEMORY;

	if (path == NULL || temporary == NULL) {
		(void)pd_error_set(err, PD_NO_MEMORY, "out of memory while writing the manifest");
		goto out;
	}
	result = pd_os_open(os, temporary, PD_OS_WRITE | PD_OS_CREATE, &file, err);
	if (result == 0) /* a longer one may be left from a crash */
		result = pd_os_resize(file, 0, err);
	if (result == 0)
		result = pd_os_write(file, text, size, 0, err);
	if (result == 0 && !pd_plant(PD_PLANT_RENAME_UNSYNCED))
		result = pd_os_datasync(file, err);
	pd_os_close(file);
	if (result == 0)
		result = pd_os_rename(os, temporary, path, err);
	if (result == 0 && !pd_plant(PD_PLANT_SKIP_DIRECTORY_SYNC))
		result = pd_os_sync_directory(os, directory, err);
out:
	pd_free(path);
	pd_free(temporary);
	return result;
}
