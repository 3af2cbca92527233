package dev.bulkgen.spark.storage;

import dev.bulkgen.error.BulkgenException;
import java.io.IOException;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.hadoop.ParquetFileWriter;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.api.WriteSupport;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.io.OutputFile;
import org.apache.parquet.io.PositionOutputStream;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.parquet.ParquetWriteSupport;
import org.apache.spark.sql.types.StructType;

/**
 * One Parquet file of Spark rows, with facts of ours in the footer. The file appears under its name
 * when it is committed and not before. The same rows give the same file, to the byte.
 */
public final class ParquetRowWriter implements RowWriter {
  /** Large enough for good compression, small enough for one writer a task slot in a 1 GB heap. */
  private static final long ROW_GROUP_BYTES = 16L << 20;

  private final StagedFile staged;
  private final StableFile file;
  private final ParquetWriter<InternalRow> writer;
  private boolean closed;

  private ParquetRowWriter(StagedFile staged, StableFile file, ParquetWriter<InternalRow> writer) {
    this.staged = staged;
    this.file = file;
    this.writer = writer;
  }

  /**
   * @param footer asked once, when the last row is written
   * @throws BulkgenException STORAGE_FAILED
   */
  public static ParquetRowWriter open(
      StagedFile staged,
      Configuration base,
      StructType schema,
      String compression,
      Supplier<Map<String, String>> footer) {
    Configuration configuration = new Configuration(base);
    ParquetWriteSupport.setSchema(schema, configuration);
    configuration.set("spark.sql.parquet.writeLegacyFormat", "false");
    configuration.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS");
    configuration.set("spark.sql.parquet.fieldId.write.enabled", "true");
    configuration.set("spark.sql.parquet.variant.annotateLogicalType.enabled", "true");
    configuration.set("spark.sql.parquet.annotateVariantLogicalType", "true");
    try {
      StableFile file = new StableFile(staged);
      ParquetWriter<InternalRow> writer =
          new Builder(file, footer)
              .withConf(configuration)
              .withCompressionCodec(
                  CompressionCodecName.valueOf(compression.toUpperCase(Locale.ROOT)))
              .withRowGroupSize(ROW_GROUP_BYTES)
              .withWriteMode(ParquetFileWriter.Mode.OVERWRITE)
              .build();
      return new ParquetRowWriter(staged, file, writer);
    } catch (IOException e) {
      throw staged.failure(e);
    }
  }

  @Override
  public void write(InternalRow row) {
    try {
      writer.write(row);
    } catch (IOException e) {
      throw staged.failure(e);
    }
  }

  /**
   * @return its {@link FileChecksum}
   */
  @Override
  public String commit() {
    try {
      closed = true;
      writer.close();
    } catch (IOException e) {
      throw staged.failure(e);
    }
    staged.commit();
    return file.stream.checksum();
  }

  @Override
  public void close() {
    try {
      if (!closed) {
        closed = true;
        // Gives the compressors back; what it writes has no name.
        writer.close();
      }
    } catch (IOException | RuntimeException e) {
      // What went wrong first is on its way to the caller.
    }
    staged.discard();
  }

  private static final class Builder extends ParquetWriter.Builder<InternalRow, Builder> {
    private final StableFile file;
    private final Supplier<Map<String, String>> footer;

    Builder(StableFile file, Supplier<Map<String, String>> footer) {
      super(file);
      this.file = file;
      this.footer = footer;
    }

    @Override
    protected Builder self() {
      return this;
    }

    @Override
    protected WriteSupport<InternalRow> getWriteSupport(Configuration configuration) {
      return new FooterWriteSupport(file, footer);
    }
  }

  private static final class FooterWriteSupport extends ParquetWriteSupport {
    private final StableFile file;
    private final Supplier<Map<String, String>> footer;

    FooterWriteSupport(StableFile file, Supplier<Map<String, String>> footer) {
      this.file = file;
      this.footer = footer;
    }

    @Override
    public FinalizedWriteContext finalizeWrite() {
      // All row groups are written; what follows is indexes and footer.
      file.stream.beginTail();
      Map<String, String> values = new TreeMap<>(footer.get());
      values.put(FileChecksum.KEY, FileChecksum.PLACEHOLDER);
      return new FinalizedWriteContext(values);
    }
  }

  private static final class StableFile implements OutputFile {
    private final StagedFile staged;
    private StableFooterStream stream;

    StableFile(StagedFile staged) {
      this.staged = staged;
    }

    @Override
    public PositionOutputStream create(long blockSizeHint) throws IOException {
      stream = new StableFooterStream(staged.create());
      return stream;
    }

    @Override
    public PositionOutputStream createOrOverwrite(long blockSizeHint) throws IOException {
      return create(blockSizeHint);
    }

    @Override
    public boolean supportsBlockSize() {
      return false;
    }

    @Override
    public long defaultBlockSize() {
      return 0;
    }
  }
}
