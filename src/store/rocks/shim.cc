/* RocksDB's C++ behind shim.h: its options, opening and closing, errors. */
#include "store/rocks/shim_private.hh"

#include <algorithm>
#include <cstdio>
#include <vector>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rocksdb/convenience.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>

static const size_t MiB = 1024 * 1024;
static const size_t PREFIX_SIZE = 8; /* the actor: levels.h */

/* ---- errors ---- */

int rocks_code(const rocksdb::Status &status)
{
	if (status.ok())
		return 0;
	if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit)
		return PD_NO_SPACE;
	if (status.IsMemoryLimit())
		return PD_NO_MEMORY;
	/* A file that the manifest names and that is not there is damage, not an ordinary "not found". */
	if (status.IsCorruption() || status.IsPathNotFound())
		return PD_CORRUPT;
	if (status.IsManualCompactionPaused() || status.IsShutdownInProgress())
		return PD_CANCELLED;
	if (status.IsInvalidArgument())
		return PD_INVALID;
	if (status.IsNotSupported())
		return PD_NOT_SUPPORTED;
	if (status.IsBusy())
		return PD_BUSY;
	return PD_IO;
}

/* RocksDB looks for a missing 000012.sst under its old name as well, and then names only that. */
std::string rocks_text(const rocksdb::Status &status)
{
	std::string text = status.ToString();

	for (size_t at = text.find(".ldb"); at != std::string::npos; at = text.find(".ldb", at))
		text.replace(at, 4, ".sst");
	return text;
}

int rocks_fail(struct pd_error *err, const char *what, const rocksdb::Status &status)
{
	return pd_error_set(err, rocks_code(status), "RocksDB, %s: %s", what, rocks_text(status).c_str());
}

/* ---- the listener ---- */

void RocksListener::OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status *status)
{
	fail(*status);
}

/* Behind what serves, but not as far as RocksDB's own settings would put it: with nice 19 and idle I/O it gets nothing on a
 * busy machine, while level 0 grows and the thread sleeps with the lock of the database in its hands. */
void RocksListener::OnCompactionBegin(rocksdb::DB *, const rocksdb::CompactionJobInfo &)
{
	const int who_thread = 1, best_effort_last = (2 << 13) | 7; /* linux/ioprio.h */

	(void)setpriority(PRIO_PROCESS, 0, 5); /* of the calling thread, on Linux */
	(void)syscall(SYS_ioprio_set, who_thread, 0, best_effort_last);
}

/* Without paranoid_checks a compaction that fails is only tried again and again. */
void RocksListener::OnCompactionCompleted(rocksdb::DB *, const rocksdb::CompactionJobInfo &info)
{
	int code = rocks_code(info.status);

	compactions.fetch_add(1);
	if (code != 0 && code != PD_CANCELLED)
		fail(info.status);
}

void RocksListener::fail(const rocksdb::Status &status)
{
	std::lock_guard<std::mutex> guard(mutex);

	failure = rocks_text(status);
	failed.store(true);
}

void RocksListener::clear()
{
	std::lock_guard<std::mutex> guard(mutex);

	failed.store(false);
	failure.clear();
}

void RocksListener::get(struct pd_rocks_stats *stats)
{
	std::lock_guard<std::mutex> guard(mutex);

	stats->failed = failed.load();
	snprintf(stats->failure, sizeof stats->failure, "%s", failure.c_str());
}

/* ---- options ---- */

/* No log file: errors come back from calls and through the listener. And Debian's library has its assertions on: one of
 * them stops the process when a log file is written to after a write to it has failed, which is any full disk. */
class NoLog : public rocksdb::Logger
{
      public:
	using rocksdb::Logger::Logv;
	void Logv(const char *, va_list) override
	{
	}
};

rocksdb::BlockBasedTableOptions rocks_table_options(const std::shared_ptr<rocksdb::Cache> &cache)
{
	rocksdb::BlockBasedTableOptions table;

	table.format_version = 5;
	table.checksum = rocksdb::kXXH3;
	table.block_cache = cache;
	table.block_size = 8 * 1024;
	/* Filters and indexes count against the cache, in pieces: a whole filter of a 64 MiB file is larger than
	 * what one shard of a small cache holds. */
	table.cache_index_and_filter_blocks = true;
	table.cache_index_and_filter_blocks_with_high_priority = true;
	table.pin_l0_filter_and_index_blocks_in_cache = true;
	table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
	table.partition_filters = true;
	table.metadata_block_size = 16 * 1024;
	table.pin_top_level_index_and_filter = true;
	table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
	table.whole_key_filtering = true;
	return table;
}

rocksdb::BlockBasedTableOptions rocks_new_file_options(const std::shared_ptr<rocksdb::Cache> &cache)
{
	rocksdb::BlockBasedTableOptions table = rocks_table_options(cache);

	table.index_type = rocksdb::BlockBasedTableOptions::kBinarySearch;
	table.partition_filters = false;
	table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
	return table;
}

static void set_general(rocksdb::DBOptions *options)
{
	options->create_if_missing = true;
	options->create_missing_column_families = true;
	/* A damaged file must not take down the rest: with them, opening fails on any, and a compaction that meets one
	 * stops all work until the process ends. Without them each read that needs it says so. */
	options->paranoid_checks = false;
	options->max_open_files = 1000;
	options->max_file_opening_threads = 1;
	/* One of them is for flushes, which there are none of. The second compaction merges what piles up in level 0 while the
	 * first one is at the levels below: every get looks into each of its files. */
	options->max_background_jobs = 3;
	options->max_subcompactions = 1;
	options->bytes_per_sync = MiB; /* so that the sync at a file's end finds little left */
	options->compaction_readahead_size = MiB;
	options->avoid_unnecessary_blocking_io = true; /* files are deleted in the background */
	options->max_manifest_file_size = 16 * MiB;
	options->info_log = std::make_shared<NoLog>();
	options->info_log_level = rocksdb::FATAL_LEVEL;
	options->stats_dump_period_sec = 0;
	options->stats_persist_period_sec = 0;
	options->max_bgerror_resume_count = 0; /* pd_rocks_resume() */
}

/* What compaction does to sorted files that come in whole. RocksDB's own memtable is never used, nor its brakes. */
static void set_shape(rocksdb::ColumnFamilyOptions *options, unsigned trigger)
{
	/* Nothing is ever in one. But files of level 0 keep their filters at hand only up to 1.5 times this size. */
	options->write_buffer_size = 64 * MiB;
	options->arena_block_size = 8 * 1024;
	options->level0_file_num_compaction_trigger = trigger > 0 ? static_cast<int>(trigger) : 6;
	options->level0_slowdown_writes_trigger = 1 << 20;
	options->level0_stop_writes_trigger = 1 << 20;
	options->soft_pending_compaction_bytes_limit = 0;
	options->hard_pending_compaction_bytes_limit = 0;
	options->level_compaction_dynamic_level_bytes = true;
	options->target_file_size_base = 64 * MiB;
	options->max_bytes_for_level_base = 512 * MiB;
	options->ttl = 0;
	options->periodic_compaction_seconds = 0;
	/* Nine rows of ten are in the last level, and each is written some ten times on its way there: what is above it
	 * saves no room worth the time. */
	options->compression = rocksdb::kNoCompression;
	options->bottommost_compression = rocksdb::kZSTD;
	options->bottommost_compression_opts.enabled = true;
	options->bottommost_compression_opts.level = 1;
}

static std::shared_ptr<rocksdb::Cache> make_cache(size_t bytes, bool read_only)
{
	rocksdb::LRUCacheOptions options;

	options.capacity = bytes;
	/* One thread reads: shards are for compaction beside it. Where there is none the cache is small, and a shard of it would not
	 * hold the filter of a new file, which is whole: each get would read all of that again. */
	options.num_shard_bits = read_only ? 0 : 4;
	options.strict_capacity_limit = false; /* a get must not fail for it */
	options.high_pri_pool_ratio =
		0.8; /* filters and indexes, before data that the page cache has as well */
	return rocksdb::NewLRUCache(options);
}

/* What is opened only to be read is read through, mostly: of who goes on and on, more is read at a time. */
static rocksdb::BlockBasedTableOptions table_options(const struct pd_rocks_options *wanted,
						     const std::shared_ptr<rocksdb::Cache> &cache)
{
	rocksdb::BlockBasedTableOptions table = rocks_table_options(cache);

	if (wanted->read_only)
		table.max_auto_readahead_size = 2 * MiB;
	return table;
}

static rocksdb::Options make_options(const struct pd_rocks_options *wanted,
				     const std::shared_ptr<RocksListener> &listener,
				     const std::shared_ptr<rocksdb::Cache> &cache)
{
	rocksdb::Options options;

	set_general(&options);
	set_shape(&options, wanted->compaction_trigger);
	options.listeners.push_back(listener);
	options.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(PREFIX_SIZE));
	options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options(wanted, cache)));
	return options;
}

/* The family of the position: one key, so that its files stay a few hundred bytes and never count among those that a
 * get has to look at. */
rocksdb::ColumnFamilyOptions rocks_applied_options(const std::shared_ptr<rocksdb::Cache> &cache)
{
	rocksdb::ColumnFamilyOptions options;
	rocksdb::BlockBasedTableOptions table;

	set_shape(&options, 8);
	options.compression = rocksdb::kNoCompression;
	options.bottommost_compression = rocksdb::kDisableCompressionOption;
	table.format_version = 5;
	table.checksum = rocksdb::kXXH3;
	table.block_cache = cache;
	options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
	return options;
}

/* ---- families ---- */

rocksdb::ColumnFamilyHandle *rocks_family(const struct pd_rocks *rocks, const void *key, size_t size)
{
	return rocks->families[pd_rocks_family_of(key, size)];
}

/* ---- opening and closing ---- */

rocksdb::Status rocks_open_db(struct pd_rocks *rocks)
{
	std::vector<rocksdb::ColumnFamilyDescriptor> families;
	std::vector<rocksdb::ColumnFamilyHandle *> handles;
	rocksdb::DB *db = nullptr;

	families.emplace_back(rocksdb::kDefaultColumnFamilyName, rocks->options);
	families.emplace_back(ROCKS_DERIVED_FAMILY, rocks->options);
	families.emplace_back(ROCKS_APPLIED_FAMILY, rocks_applied_options(rocks->cache));
	rocksdb::Status status = rocks->read_only
					 ? rocksdb::DB::OpenForReadOnly(rocks->options, rocks->directory,
									families, &handles, &db)
					 : rocksdb::DB::Open(rocks->options, rocks->directory, families,
							     &handles, &db);
	if (!status.ok())
		return status;
	rocks->db.reset(db);
	std::copy(handles.begin(), handles.end(), rocks->families);
	return status;
}

int pd_rocks_open(const struct pd_rocks_options *options, struct pd_rocks **ret_rocks, struct pd_error *err)
{
	return rocks_guarded(err, "opening", [&]() {
		rocks_owned<struct pd_rocks> rocks(rocks_make<struct pd_rocks>());

		rocks->directory = options->directory;
		rocks->read_only = options->read_only;
		rocks->cache = make_cache(options->cache_bytes, options->read_only);
		rocks->options = make_options(options, rocks->listener, rocks->cache);
		/* Compaction is what wants to know what is in each file, and opening each for that takes longer than all else. */
		rocks->options.skip_stats_update_on_db_open = options->read_only;
		pd_rocks_set_compaction_rate(rocks.get(), options->compaction_bytes_per_s);
		rocks->options.rate_limiter = rocks->rate;
		rocksdb::Status status = rocks_open_db(rocks.get());
		if (!status.ok())
			return rocks_fail(err, options->directory, status);
		rocks->get_options_plain.ignore_range_deletions = true;
		*ret_rocks = rocks.release();
		return 0;
	});
}

rocksdb::Status rocks_close_db(struct pd_rocks *rocks)
{
	rocksdb::CancelAllBackgroundWork(rocks->db.get(), true);
	for (rocksdb::ColumnFamilyHandle *family : rocks->families)
		(void)rocks->db->DestroyColumnFamilyHandle(family);
	rocksdb::Status status = rocks->db->Close();
	rocks->db.reset();
	return status;
}

int pd_rocks_close(struct pd_rocks *rocks, struct pd_error *err)
{
	int result = rocks_guarded(err, "closing", [&]() {
		if (!rocks->db)
			return 0;
		rocksdb::Status status = rocks_close_db(rocks);
		/* After an error in the background closing reports that same error again: nothing new, and nothing that
		 * was committed depends on it. */
		return status.ok() || rocks->listener->failed.load() ? 0 : rocks_fail(err, "closing", status);
	});

	rocks_destroy(rocks);
	return result;
}

void pd_rocks_cancel(struct pd_rocks *rocks)
{
	rocks->cancelled.store(true);
}
