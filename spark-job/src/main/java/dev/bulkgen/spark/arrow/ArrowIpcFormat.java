package dev.bulkgen.spark.arrow;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.Serializable;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.spark.TaskContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.FileFormat;
import org.apache.spark.sql.execution.datasources.OutputWriter;
import org.apache.spark.sql.execution.datasources.OutputWriterFactory;
import org.apache.spark.sql.execution.datasources.PartitionedFile;
import org.apache.spark.sql.sources.DataSourceRegister;
import org.apache.spark.sql.sources.Filter;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.SerializableConfiguration;
import org.apache.spark.util.TaskCompletionListener;
import scala.Function1;
import scala.Option;
import scala.collection.immutable.Map;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction1;

/**
 * The data source {@code arrow-ipc}: {@code spark.read().format("arrow-ipc").load(path)} reads
 * files and streams, {@code df.write().format("arrow-ipc").save(path)} writes through the commit
 * protocol that the session is set to. Options of a write: {@code compression} (uncompressed, lz4,
 * zstd) and {@code arrow.format} (file, stream).
 */
public final class ArrowIpcFormat implements FileFormat, DataSourceRegister, Serializable {
  private static final long serialVersionUID = 1L;

  /** Its name in Spark. */
  public static final String NAME = "arrow-ipc";

  @Override
  public String shortName() {
    return NAME;
  }

  @Override
  public String toString() {
    return "Arrow IPC";
  }

  @Override
  public boolean isSplitable(SparkSession session, Map<String, String> options, Path path) {
    return false;
  }

  @Override
  public boolean supportDataType(DataType type) {
    return ArrowSchemas.supports(type);
  }

  /** Of the first file, by name, that has a byte in it. */
  @Override
  public Option<StructType> inferSchema(
      SparkSession session, Map<String, String> options, Seq<FileStatus> files) {
    Configuration configuration = session.sparkContext().hadoopConfiguration();
    List<FileStatus> sorted = CollectionConverters.asJava(files).stream().sorted().toList();
    for (FileStatus file : sorted) {
      if (file.getLen() > 0) {
        try (ArrowInput input = ArrowInput.open(file.getPath(), configuration)) {
          return Option.apply(input.schema());
        }
      }
    }
    return Option.empty();
  }

  @Override
  public Function1<PartitionedFile, scala.collection.Iterator<InternalRow>> buildReader(
      SparkSession session,
      StructType dataSchema,
      StructType partitionSchema,
      StructType requiredSchema,
      Seq<Filter> filters,
      Map<String, String> options,
      Configuration configuration) {
    Broadcast<SerializableConfiguration> shared =
        session
            .sparkContext()
            .broadcast(
                new SerializableConfiguration(configuration),
                ClassTag$.MODULE$.apply(SerializableConfiguration.class));
    return new Reader(shared, requiredSchema);
  }

  private static final class Reader
      extends AbstractFunction1<PartitionedFile, scala.collection.Iterator<InternalRow>>
      implements Serializable {
    private static final long serialVersionUID = 1L;

    private final Broadcast<SerializableConfiguration> configuration;
    private final StructType wanted;

    Reader(Broadcast<SerializableConfiguration> configuration, StructType wanted) {
      this.configuration = configuration;
      this.wanted = wanted;
    }

    @Override
    public scala.collection.Iterator<InternalRow> apply(PartitionedFile file) {
      if (file.fileSize() == 0) {
        return CollectionConverters.asScala(List.<InternalRow>of().iterator());
      }
      ArrowInput input = ArrowInput.open(file.toPath(), configuration.value().value());
      Optional.ofNullable(TaskContext.get())
          .ifPresent(
              task ->
                  task.addTaskCompletionListener((TaskCompletionListener) ended -> input.close()));
      Iterator<InternalRow> rows = input.rows(wanted);
      return CollectionConverters.asScala(rows);
    }
  }

  @Override
  public OutputWriterFactory prepareWrite(
      SparkSession session, Job job, Map<String, String> options, StructType schema) {
    ArrowSchemas.toArrow(schema);
    return new WriterFactory(
        option(options, "arrow.format", ArrowLayout.class, ArrowLayout.FILE),
        option(options, "compression", ArrowCompression.class, ArrowCompression.UNCOMPRESSED));
  }

  private static <E extends Enum<E>> E option(
      Map<String, String> options, String name, Class<E> type, E usual) {
    Option<String> given = options.get(name);
    if (given.isEmpty()) {
      return usual;
    }
    for (E value : type.getEnumConstants()) {
      if (value.name().equalsIgnoreCase(given.get())) {
        return value;
      }
    }
    throw BulkgenException.of(
        ErrorCode.SETTING_INVALID,
        "option %s: '%s' is none of %s",
        name,
        given.get(),
        Arrays.toString(type.getEnumConstants()).toLowerCase(Locale.ROOT));
  }

  private static final class WriterFactory extends OutputWriterFactory {
    private static final long serialVersionUID = 1L;

    private final ArrowLayout layout;
    private final ArrowCompression compression;

    WriterFactory(ArrowLayout layout, ArrowCompression compression) {
      this.layout = layout;
      this.compression = compression;
    }

    @Override
    public String getFileExtension(TaskAttemptContext context) {
      return layout.extension();
    }

    @Override
    public OutputWriter newInstance(String path, StructType schema, TaskAttemptContext context) {
      return ArrowOutput.open(path, schema, layout, compression, context.getConfiguration());
    }
  }
}
