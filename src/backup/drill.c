#include "backup/drill.h"

#include <string.h>

#include "backup/catalog.h"
#include "backup/proof.h"

struct drilling {
	struct pd_repository *repository;
	const struct pd_backup_drill *drill;
	struct pd_backup_manifest plan;
	struct pd_further *archive;
};

static int step(void *context, struct pd_error *err)
{
	const struct drilling *drilling = context;

	return pd_backup_step(&drilling->drill->watch, 0, 0, err);
}

static int open_archive(struct drilling *drilling, struct pd_error *err)
{
	const struct pd_backup_drill *drill = drilling->drill;
	struct pd_os *os = drilling->repository->os;
	struct pd_object_store *store;
	int result;

	if (drill->archive == NULL)
		return 0;
	result = pd_object_place_open(os, drill->archive, "archive", &store, err);
	if (result != 0)
		return result;
	if (drill->calls != NULL)
		pd_object_store_watch(store, drill->calls);
	return pd_further_archive_in(os, store, drilling->plan.cluster_id, drilling->plan.shard,
				     &drilling->archive, err);
}

static int rehearse(struct drilling *drilling, struct pd_backup_restored *ret_restored, struct pd_error *err)
{
	const struct pd_backup_drill *drill = drilling->drill;
	struct pd_backup_restoring order = { .target = drill->target,
					     .watch = drill->watch,
					     .sources = &drilling->archive,
					     .source_count = drilling->archive != NULL,
					     .told = drill->told,
					     .levels = drill->levels,
					     .memory_bytes = drill->memory_bytes,
					     .spare_bytes = drill->spare_bytes };
	struct pd_backup_restoring lists = order;
	struct pd_backup_moment end;
	int result;

	lists.told = NULL;
	result = pd_backup_restore_plan(drilling->repository->os, &drilling->plan, &lists, &end,
					&order.further_bytes, err);
	if (result != 0)
		return result;
	if (drill->planned != NULL)
		drill->planned(drill->watch.context, &drilling->plan);
	return pd_backup_rehearse(drilling->repository, &drilling->plan, &order, ret_restored, err);
}

/* With the catalog, which the plan is made of. */
static int prove(struct drilling *drilling, const struct pd_catalog *catalog,
		 struct pd_backup_drilled *drilled, struct pd_error *err)
{
	const struct pd_backup_wish everything = { 0 };
	const struct pd_backup_manifest *last;
	struct pd_backup_proof proof;
	int result = pd_catalog_choose(catalog, drilling->drill->id, &last, err);

	if (result == 0) {
		memcpy(drilled->id, last->id, sizeof drilled->id);
		result = pd_catalog_plan(catalog, last, &everything, &drilling->plan, err);
	}
	if (result == 0)
		result = open_archive(drilling, err);
	if (result == 0)
		result = rehearse(drilling, &drilled->restored, err);
	if (result != 0)
		return result;
	drilled->proven_us = pd_os_real_us(drilling->repository->os);
	drilled->rto_us = drilled->restored.fetch_us + drilled->restored.recover_us;
	if (drilled->proven_us > drilled->restored.time_us)
		drilled->rpo_us = drilled->proven_us - drilled->restored.time_us;
	proof = (struct pd_backup_proof){ drilled->restored.position, drilled->proven_us };
	return pd_backup_proof_put(drilling->repository, &proof, err);
}

int pd_backup_drill(struct pd_repository *repository, const struct pd_backup_drill *drill,
		    struct pd_backup_drilled *ret_drilled, struct pd_error *err)
{
	struct drilling drilling = { .repository = repository, .drill = drill };
	const struct pd_catalog_watch watch = { step, &drilling };
	struct pd_catalog catalog;
	int result = pd_catalog_load(repository, &watch, &catalog, err);

	*ret_drilled = (struct pd_backup_drilled){ 0 };
	if (result != 0)
		return result;
	pd_backup_manifest_init(&drilling.plan);
	result = prove(&drilling, &catalog, ret_drilled, err);
	pd_further_free(drilling.archive);
	pd_backup_manifest_done(&drilling.plan);
	pd_catalog_done(&catalog);
	return result;
}
