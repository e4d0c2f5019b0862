/* RocksDB's C++ behind shim.h: sorted files that are written, taken over, listed and checked. */
#include "store/rocks/shim_private.hh"

#include <cstring>
#include <vector>

#include <rocksdb/metadata.h>
#include <rocksdb/snapshot.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/sst_file_writer.h>

/* ---- writing ---- */

struct pd_rocks_writer {
	std::unique_ptr<rocksdb::SstFileWriter> file;
	std::string path;
	bool failed = false; /* RocksDB asserts that nobody writes on after an error */
};

/* Their options are those of the family, but: they are read by every get until they are compacted, which is soon. So their
 * filters and indexes are whole, which spares a get two thirds of its time for each, and nothing is compressed; and there
 * is no limit on I/O, since somebody waits. */
static rocksdb::Options writer_options(struct pd_rocks *rocks, enum pd_rocks_family family)
{
	rocksdb::Options options(rocks->options);

	if (family == PD_ROCKS_APPLIED)
		options = rocksdb::Options(rocks->options, rocks_applied_options(rocks->cache));
	else
		options.table_factory.reset(
			rocksdb::NewBlockBasedTableFactory(rocks_new_file_options(rocks->cache)));
	options.compression = rocksdb::kNoCompression;
	options.bottommost_compression = rocksdb::kDisableCompressionOption;
	options.rate_limiter.reset();
	options.listeners.clear();
	return options;
}

int pd_rocks_writer_new(struct pd_rocks *rocks, const char *path, enum pd_rocks_family family,
			struct pd_rocks_writer **ret_writer, struct pd_error *err)
{
	return rocks_call(rocks, err, path, [&]() {
		rocks_owned<struct pd_rocks_writer> writer(rocks_make<struct pd_rocks_writer>());
		rocksdb::Options options = writer_options(rocks, family);

		writer->path = path;
		/* false: what was written stays in the page cache; compaction is going to read it. */
		writer->file.reset(new rocksdb::SstFileWriter(rocksdb::EnvOptions(options), options,
							      rocks->families[family], false));
		rocksdb::Status status = writer->file->Open(path);
		if (!status.ok())
			return rocks_fail(err, path, status);
		*ret_writer = writer.release();
		return 0;
	});
}

template <typename Work> static int write_one(struct pd_rocks_writer *writer, struct pd_error *err, Work work)
{
	if (writer->failed)
		return pd_error_set(err, PD_INVALID, "%s: written to after an error", writer->path.c_str());
	int result = rocks_guarded(err, writer->path.c_str(), [&]() {
		rocksdb::Status status = work(writer->file.get());
		return status.ok() ? 0 : rocks_fail(err, writer->path.c_str(), status);
	});
	writer->failed = result != 0;
	return result;
}

int pd_rocks_writer_put(struct pd_rocks_writer *writer, const void *key, size_t key_size, const void *value,
			size_t value_size, struct pd_error *err)
{
	return write_one(writer, err, [&](rocksdb::SstFileWriter *file) {
		return file->Put(rocks_slice(key, key_size), rocks_slice(value, value_size));
	});
}

int pd_rocks_writer_delete(struct pd_rocks_writer *writer, const void *key, size_t key_size,
			   struct pd_error *err)
{
	return write_one(writer, err, [&](rocksdb::SstFileWriter *file) {
		return file->Delete(rocks_slice(key, key_size));
	});
}

int pd_rocks_writer_delete_range(struct pd_rocks_writer *writer, const void *from, size_t from_size,
				 const void *to, size_t to_size, struct pd_error *err)
{
	return write_one(writer, err, [&](rocksdb::SstFileWriter *file) {
		return file->DeleteRange(rocks_slice(from, from_size), rocks_slice(to, to_size));
	});
}

int pd_rocks_put_applied(struct pd_rocks_writer *writer, const void *data, size_t size, struct pd_error *err)
{
	return pd_rocks_writer_put(writer, ROCKS_APPLIED_KEY, strlen(ROCKS_APPLIED_KEY), data, size, err);
}

uint64_t pd_rocks_writer_bytes(const struct pd_rocks_writer *writer)
{
	return writer->file->FileSize();
}

int pd_rocks_writer_finish(struct pd_rocks_writer *writer, struct pd_error *err)
{
	return write_one(writer, err, [&](rocksdb::SstFileWriter *file) { return file->Finish(); });
}

void pd_rocks_writer_free(struct pd_rocks_writer *writer)
{
	rocks_destroy(writer);
}

void pd_rocks_set_ranges(struct pd_rocks *rocks, bool ranges)
{
	rocks->ranges.store(ranges);
}

/* 1: there are some, 0, or an error. */
static int family_ranges(struct pd_rocks *rocks, enum pd_rocks_family family)
{
	rocksdb::TablePropertiesCollection tables;
	rocksdb::Status status = rocks->db->GetPropertiesOfAllTables(rocks->families[family], &tables);

	if (!status.ok())
		return rocks_code(status);
	for (const auto &table : tables)
		if (table.second->num_range_deletions > 0)
			return 1;
	return 0;
}

/* Only compaction takes range tombstones away. Asking opens every file, once. */
bool pd_rocks_ranges(struct pd_rocks *rocks)
{
	uint64_t compactions = rocks->listener->compactions.load();

	if (!rocks->ranges.load() || rocks->looked_at == compactions)
		return rocks->ranges.load();
	int result = rocks_call(rocks, nullptr, "looking for ranges", [&]() {
		for (enum pd_rocks_family family : { PD_ROCKS_DATA, PD_ROCKS_DERIVED }) {
			int found = family_ranges(rocks, family);

			if (found != 0)
				return found;
		}
		return 0;
	});
	rocks->looked_at = compactions;
	rocks->ranges.store(result != 0);
	return result != 0;
}

int pd_rocks_ingest(struct pd_rocks *rocks, const struct pd_rocks_paths files[PD_ROCKS_FAMILIES],
		    struct pd_error *err)
{
	return rocks_call(rocks, err, "taking over files", [&]() {
		std::vector<rocksdb::IngestExternalFileArg> arguments;
		rocksdb::IngestExternalFileOptions options;
		std::lock_guard<std::mutex> guard(rocks->taking_over);
		std::unique_ptr<rocksdb::ManagedSnapshot> first;

		options.move_files = true;
		options.write_global_seqno = false; /* a sorted file is never written again */
		/* While there are views, every file gets a number of its own that they do not see: without one, those
		 * that overlap with nothing would be seen by all. */
		options.snapshot_consistency = true;
		for (int family = 0; family < PD_ROCKS_FAMILIES; family++) {
			if (files[family].count == 0)
				continue;
			arguments.emplace_back();
			arguments.back().column_family = rocks->families[family];
			arguments.back().external_files.assign(files[family].paths,
							       files[family].paths + files[family].count);
			arguments.back().options = options;
		}
		/* Numbers begin with 0, and compaction takes a snapshot of number 0 for none. So the first files get one in any
		 * case, which any snapshot brings about. */
		if (rocks->db->GetLatestSequenceNumber() == 0)
			first.reset(new rocksdb::ManagedSnapshot(rocks->db.get()));
		rocksdb::Status status = rocks->db->IngestExternalFiles(arguments);
		return status.ok() ? 0 : rocks_fail(err, "taking over files", status);
	});
}

/* ---- those that are there ---- */

struct pd_rocks_files {
	std::vector<rocksdb::LiveFileMetaData> list;
	std::vector<std::string> paths;
};

int pd_rocks_files_new(struct pd_rocks *rocks, struct pd_rocks_files **ret_files, size_t *ret_count,
		       struct pd_error *err)
{
	return rocks_call(rocks, err, "listing files", [&]() {
		rocks_owned<struct pd_rocks_files> files(rocks_make<struct pd_rocks_files>());

		rocks->db->GetLiveFilesMetaData(&files->list);
		for (const rocksdb::LiveFileMetaData &file : files->list)
			files->paths.push_back(file.db_path + file.name);
		*ret_count = files->list.size();
		*ret_files = files.release();
		return 0;
	});
}

void pd_rocks_files_get(const struct pd_rocks_files *files, size_t index, struct pd_rocks_file *ret_file)
{
	const rocksdb::LiveFileMetaData &file = files->list[index];
	bool has_entries = file.column_family_name != ROCKS_APPLIED_FAMILY;

	*ret_file = pd_rocks_file();
	ret_file->path = files->paths[index].c_str();
	ret_file->bytes = file.size;
	ret_file->level = file.level;
	if (has_entries) {
		ret_file->smallest = file.smallestkey.data();
		ret_file->smallest_size = file.smallestkey.size();
		ret_file->largest = file.largestkey.data();
		ret_file->largest_size = file.largestkey.size();
	}
}

void pd_rocks_files_free(struct pd_rocks_files *files)
{
	rocks_destroy(files);
}

int pd_rocks_file_verify(struct pd_rocks *rocks, const char *path, bool direct, struct pd_error *err)
{
	return rocks_guarded(err, path, [&]() {
		rocksdb::BlockBasedTableOptions table = rocks_table_options(nullptr);
		rocksdb::Options options(rocks->options);
		rocksdb::ReadOptions read;

		table.no_block_cache = true;
		table.cache_index_and_filter_blocks = false;
		options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
		options.listeners.clear();
		options.use_direct_reads = direct;
		rocksdb::SstFileReader reader(options);
		read.readahead_size = 1024 * 1024;
		rocksdb::Status status = reader.Open(path);
		if (status.ok())
			status = reader.VerifyChecksum(read);
		return status.ok() ? 0 : rocks_fail(err, path, status);
	});
}
