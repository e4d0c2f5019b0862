#include "backup/survey.h"

#include <string.h>

#define TRIES 8u /* of one kind: those whose manifests cannot be read are passed over */

struct surveying {
	struct pd_os *os;
	const struct pd_repository_place *place;
	const uint8_t *cluster_id;
	struct pd_repository *repository; /* NULL until something is to be read */
};

/* "20261121T014500Z-full" */
static bool is_of_kind(const char *id, enum pd_backup_kind kind)
{
	const char *word = strrchr(id, '-');

	return word != NULL && strcmp(word + 1, pd_backup_kind_name(kind)) == 0;
}

static int open_it(struct surveying *surveying, struct pd_error *err)
{
	int result = pd_repository_open(surveying->os, surveying->place, &surveying->repository, err);

	if (result != 0)
		return result;
	if (memcmp(surveying->repository->cluster_id, surveying->cluster_id, PD_CLUSTER_ID_SIZE) == 0)
		return 0;
	return pd_error_set(err, PD_CONFLICT,
			    "the repository %s has backups of another cluster: each has one of its own",
			    surveying->place->store.address);
}

static int look_at(struct surveying *surveying, const char *id, struct pd_backup_newest *ret_newest,
		   struct pd_error *err)
{
	struct pd_backup_manifest manifest;
	int result = surveying->repository == NULL ? open_it(surveying, err) : 0;

	if (result != 0)
		return result;
	pd_backup_manifest_init(&manifest);
	result = pd_backup_manifest_get(surveying->repository, id, &manifest, err);
	if (result == 0) {
		*ret_newest = (struct pd_backup_newest){ .begun_us = manifest.begun_us,
							 .ended_us = manifest.ended_us,
							 .end = manifest.end,
							 .stored_bytes = pd_backup_manifest_stored(&manifest),
							 .sent_bytes = manifest.sent };
		memcpy(ret_newest->id, manifest.id, sizeof ret_newest->id);
	}
	pd_backup_manifest_done(&manifest);
	return result;
}

/* Ids sort as the times do at which their backups were finished. */
static int find_newest(struct surveying *surveying, const struct pd_os_names *ids, enum pd_backup_kind kind,
		       struct pd_backup_newest *newest, struct pd_error *err)
{
	unsigned tries = 0;

	for (size_t i = ids->count; i-- > 0 && tries < TRIES;) {
		int result;

		if (!is_of_kind(ids->names[i], kind))
			continue;
		if (strcmp(ids->names[i], newest->id) == 0)
			return 0;
		result = look_at(surveying, ids->names[i], newest, err);
		if (result != PD_CORRUPT && result != PD_NOT_FOUND)
			return result;
		tries++;
	}
	*newest = (struct pd_backup_newest){ 0 };
	return 0;
}

int pd_backup_survey(struct pd_os *os, const struct pd_repository_place *place,
		     const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], struct pd_backup_survey *survey,
		     struct pd_error *err)
{
	struct surveying surveying = { os, place, cluster_id, NULL };
	struct pd_repository *names = NULL;
	struct pd_os_names ids = { 0 };
	int result = pd_repository_open_names(os, place, &names, err);

	if (result != 0)
		return result;
	result = pd_backup_list(names, &ids, err);
	if (result == 0)
		result = pd_backup_proof_get(names, &survey->proof, err);
	for (unsigned i = 0; i < PD_BACKUP_KIND_COUNT && result == 0; i++)
		result = find_newest(&surveying, &ids, (enum pd_backup_kind)i, &survey->kinds[i], err);
	if (result == 0)
		survey->count = ids.count;
	pd_os_names_done(&ids);
	pd_repository_free(surveying.repository);
	pd_repository_free(names);
	return result;
}
