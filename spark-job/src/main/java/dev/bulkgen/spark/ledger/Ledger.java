package dev.bulkgen.spark.ledger;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.config.RunSettings.ResumeMode;
import dev.bulkgen.spark.plan.UnitPlan;
import dev.bulkgen.spark.plan.UnitSpec;
import dev.bulkgen.spark.sink.ShardIdentity;
import dev.bulkgen.spark.sink.UnitFacts;
import dev.bulkgen.spark.storage.StagedFile;
import dev.bulkgen.spark.storage.Storage;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.util.SerializableConfiguration;
import scala.reflect.ClassTag$;

/**
 * An output folder and what is finished in it. A unit is committed if its shard is there and sound;
 * no other record decides. Used by the driver alone.
 */
public final class Ledger implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int MOST_CHECK_TASKS = 1000;
  private static final String OWN_FOLDER = "_bulkgen";

  private final Storage storage;
  private final Path output;
  private final OutputLock lock;
  private final boolean found;
  private final TreeMap<Integer, UnitFacts> committed = new TreeMap<>();

  private Ledger(Storage storage, Path output, OutputLock lock, boolean found) {
    this.found = found;
    this.storage = storage;
    this.output = output;
    this.lock = lock;
  }

  /**
   * Takes the folder, which may be new.
   *
   * @param notice is told where taking it needs a wait
   * @throws BulkgenException OUTPUT_NOT_EMPTY, OUTPUT_NOT_WRITABLE, OUTPUT_LOCKED
   */
  public static Ledger open(
      String output, ResumeMode resume, Configuration configuration, Consumer<String> notice) {
    return open(output, resume, configuration, OutputLock.Timing.USUAL, notice);
  }

  static Ledger open(
      String output,
      ResumeMode resume,
      Configuration configuration,
      OutputLock.Timing timing,
      Consumer<String> notice) {
    Path folder = new Path(output);
    Storage storage = Storage.of(folder, configuration);
    refuseWrongFolder(storage, folder, resume);
    boolean found = storage.exists(folder);
    Path own = new Path(folder, OWN_FOLDER);
    storage.makeFolder(own);
    try {
      return new Ledger(storage, folder, OutputLock.acquire(storage, own, timing, notice), found);
    } catch (BulkgenException e) {
      if (e.code() == ErrorCode.STORAGE_FAILED) {
        throw new BulkgenException(
            ErrorCode.OUTPUT_NOT_WRITABLE, "output " + output + ": " + e.getMessage(), e);
      }
      throw e;
    }
  }

  private static void refuseWrongFolder(Storage storage, Path folder, ResumeMode resume) {
    Optional<FileStatus> status = storage.status(folder);
    if (status.isPresent() && status.get().isFile()) {
      throw BulkgenException.of(
          ErrorCode.OUTPUT_NOT_EMPTY, "output %s is a file; name a folder", folder);
    }
    boolean begun = storage.exists(settingsFile(folder));
    if (begun && resume == ResumeMode.NEVER) {
      throw BulkgenException.of(
          ErrorCode.OUTPUT_NOT_EMPTY,
          "output %s holds an earlier run, and --resume is never: name another folder",
          folder);
    }
    if (!begun && resume == ResumeMode.ALWAYS) {
      throw BulkgenException.of(
          ErrorCode.OUTPUT_NOT_EMPTY,
          "output %s holds no run to resume, and --resume is always",
          folder);
    }
    List<FileStatus> foreign =
        storage.list(folder).stream()
            .filter(entry -> !entry.getPath().getName().equals(OWN_FOLDER))
            .toList();
    if (!begun && !foreign.isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.OUTPUT_NOT_EMPTY,
          "output %s holds something else (%s): name an empty or a new folder",
          folder,
          foreign.get(0).getPath().getName());
    }
  }

  private static Path settingsFile(Path folder) {
    return new Path(new Path(folder, OWN_FOLDER), "settings.json");
  }

  /** Whether the folder holds a run that can be resumed. */
  public boolean isBegun() {
    return storage.exists(settingsFile(output));
  }

  /** Where the rows of an input that nothing else keeps are written down. */
  public static Path inputFolder(Path output) {
    return new Path(new Path(output, OWN_FOLDER), "input");
  }

  public Storage storage() {
    return storage;
  }

  public Path planFolder() {
    return own("plan");
  }

  private Path own(String name) {
    return new Path(new Path(output, OWN_FOLDER), name);
  }

  /**
   * What the folder was begun with, compared with now; empty for a new one.
   *
   * @throws BulkgenException SETTINGS_CHANGED naming what differs
   */
  public Optional<FrozenSettings> earlierRun(FrozenSettings now) {
    if (!isBegun()) {
      return Optional.empty();
    }
    Path file = settingsFile(output);
    FrozenSettings before = FrozenSettings.fromJson(storage.readText(file), file.toString());
    List<String> changes = before.changes(now);
    if (!changes.isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.SETTINGS_CHANGED,
          "output %s was begun with other settings:%n  - %s%nUse the same, or name another folder.",
          output,
          String.join(String.format("%n  - "), changes));
    }
    return Optional.of(before);
  }

  /** Called once the plan is frozen: from now on the folder can be resumed. */
  public void begin(FrozenSettings settings) {
    lock.verify();
    if (!isBegun()) {
      storage.replaceText(settingsFile(output), settings.toJson());
    }
  }

  /**
   * What a folder holds of earlier runs.
   *
   * @param committed units
   * @param damaged names of shards that were not what was once written, and are set aside
   */
  public record Recovery(Map<Integer, UnitFacts> committed, List<String> damaged) {}

  /**
   * Finds the shards that are sound. What dead attempts left half-written is deleted; a shard that
   * is not what was written may be anyone's, and is set aside below {@code _bulkgen}. The shards
   * are read from end to end by Spark's tasks, so that many are checked as fast as the executors
   * read.
   *
   * @throws BulkgenException OUTPUT_NOT_EMPTY naming a file that readers would take for results
   */
  public Recovery recover(SparkContext spark, UnitPlan plan, ShardIdentity identity) {
    lock.verify();
    sweep();
    Set<String> there = refuseForeign(plan, identity);
    List<UnitSpec> written =
        plan.units().stream()
            .filter(unit -> there.contains(identity.fileName(unit.unit())))
            .toList();
    if (!written.isEmpty()) {
      check(spark, written, identity);
    }
    if (committed.size() < plan.units().size()) {
      storage.delete(successFile());
    }
    List<String> damaged = new ArrayList<>();
    for (UnitSpec unit : written) {
      if (!committed.containsKey(unit.unit())) {
        setAside(files(identity, unit));
        damaged.add(identity.fileName(unit.unit()));
      }
    }
    return new Recovery(Map.copyOf(committed), damaged);
  }

  /** The shard's own file goes first, as without it there is no shard. */
  private void setAside(List<String> files) {
    for (int index = files.size() - 1; index >= 0; index--) {
      Path file = new Path(output, files.get(index));
      if (storage.exists(file)) {
        storage.setAside(file, own("set-aside"));
      }
    }
  }

  private static List<String> files(ShardIdentity identity, UnitSpec unit) {
    return identity.format().files(identity.fileName(unit.unit()));
  }

  private void sweep() {
    for (FileStatus entry : storage.list(output)) {
      if (StagedFile.isTemporary(entry.getPath().getName())) {
        storage.delete(entry.getPath());
      }
    }
  }

  /** Names of what readers see, all of it the plan's shards. */
  private Set<String> refuseForeign(UnitPlan plan, ShardIdentity identity) {
    Set<String> shards = new HashSet<>();
    for (UnitSpec unit : plan.units()) {
      files(identity, unit).forEach(name -> shards.add(name.split("/", 2)[0]));
    }
    Set<String> there = new HashSet<>();
    for (FileStatus entry : storage.list(output)) {
      String name = entry.getPath().getName();
      if (name.startsWith("_") || name.startsWith(".")) {
        continue;
      }
      if (!shards.contains(name)) {
        throw BulkgenException.of(
            ErrorCode.OUTPUT_NOT_EMPTY,
            "output %s holds %s, which is not of this run and which readers would take for"
                + " results: move it away and run again",
            output,
            name);
      }
      there.add(name);
    }
    return there;
  }

  private void check(SparkContext spark, List<UnitSpec> written, ShardIdentity identity) {
    JavaRDD<UnitSpec> shards =
        JavaSparkContext.fromSparkContext(spark)
            .parallelize(written, Math.min(written.size(), MOST_CHECK_TASKS));
    ShardCheckTask task =
        new ShardCheckTask(
            output.toString(), identity, new SerializableConfiguration(storage.configuration()));
    UnitFacts[][] sound =
        (UnitFacts[][])
            spark.runJob(
                shards.rdd(), task, ClassTag$.MODULE$.<UnitFacts[]>apply(UnitFacts[].class));
    for (UnitFacts[] part : sound) {
      List.of(part).forEach(this::commit);
    }
  }

  /**
   * Called by the result handler, once a unit.
   *
   * @throws BulkgenException OUTPUT_LOCKED if another driver has taken the folder
   */
  public synchronized void commit(UnitFacts facts) {
    lock.check();
    committed.put(facts.unit(), facts);
  }

  public synchronized List<UnitFacts> committed() {
    return List.copyOf(committed.values());
  }

  /** One line a committed unit, for people and reports; nothing reads it back. */
  public void writeUnits() {
    lock.verify();
    StringBuilder lines = new StringBuilder();
    for (UnitFacts facts : committed()) {
      ObjectNode line = JSON.createObjectNode();
      line.put("unit", facts.unit());
      line.put("rows", facts.rows());
      line.put("output_rows", facts.outputRows());
      line.set("errors", JSON.valueToTree(facts.errors()));
      line.put("prompt_tokens", facts.promptTokens());
      line.put("completion_tokens", facts.completionTokens());
      line.put("checksum", facts.checksum());
      lines.append(line).append('\n');
    }
    storage.replaceText(own("units.jsonl"), lines.toString());
  }

  public void writeReport(String json) {
    storage.replaceText(own("report.json"), json);
  }

  /**
   * Marks the dataset complete, after every unit and every row was counted (P2).
   *
   * @throws BulkgenException ROWS_MISSING; OUTPUT_NOT_EMPTY naming a file of someone else's
   */
  public void succeed(UnitPlan plan, ShardIdentity identity) {
    lock.verify();
    sweep();
    Set<String> files = refuseForeign(plan, identity);
    long rows = 0;
    for (UnitSpec unit : plan.units()) {
      UnitFacts facts = committed.get(unit.unit());
      boolean there = facts != null && files.contains(identity.fileName(unit.unit()));
      if (!there || facts.rows() != unit.rows()) {
        throw BulkgenException.of(
            ErrorCode.ROWS_MISSING,
            "unit %d of output %s is missing or short; run again to redo it",
            unit.unit(),
            output);
      }
      rows += facts.rows();
    }
    if (rows != plan.rows()) {
      throw BulkgenException.of(
          ErrorCode.ROWS_MISSING, "output %s has %d rows of %d", output, rows, plan.rows());
    }
    storage.replaceText(successFile(), "");
  }

  private Path successFile() {
    return new Path(output, "_SUCCESS");
  }

  /** Gives the folder back; one that was never begun is left as it was found. */
  @Override
  public void close() {
    boolean begun = isBegun();
    if (!begun && lock.isHeld()) {
      storage.delete(planFolder());
      storage.delete(inputFolder(output));
    }
    lock.close();
    if (!begun) {
      storage.deleteEmpty(new Path(output, OWN_FOLDER));
      if (!found) {
        storage.deleteEmpty(output);
      }
    }
  }
}
