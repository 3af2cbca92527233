package dev.bulkgen.spark.deploy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.config.Setting;
import dev.bulkgen.spark.cli.Main;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.SettingCatalogue;
import dev.bulkgen.spark.config.TaskType;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.deploy.SparkSubmitArguments;
import scala.collection.immutable.Map$;
import scala.jdk.javaapi.CollectionConverters;

/** Command lines of files and documents, read as those read them who would run them. */
final class CommandLines {
  private CommandLines() {}

  /** Arguments of a job, from the command's name on: each is there, and fits. */
  static void check(List<String> arguments) {
    TaskType task = TaskType.valueOf(arguments.get(0).toUpperCase(Locale.ROOT));
    Map<String, String> values = new LinkedHashMap<>();
    for (int index = 1; index < arguments.size(); index++) {
      String argument = arguments.get(index);
      assertTrue(argument.startsWith("--"), argument);
      int equals = argument.indexOf('=');
      String name = argument.substring(2, equals < 0 ? argument.length() : equals);
      assertTrue(SettingCatalogue.find(name).isPresent(), "there is no setting " + name);
      boolean flag = SettingCatalogue.find(name).get().setting().kind() == Setting.Kind.FLAG;
      String value =
          equals >= 0 ? argument.substring(equals + 1) : flag ? "true" : arguments.get(++index);
      values.put(name, value);
    }
    JobSettingsReader.read(task, values);
  }

  /** Reads what follows {@code spark-submit} as Spark does, which ends the test if it cannot. */
  static SparkSubmitArguments sparkSubmit(List<String> arguments) {
    SparkSubmitArguments read =
        new SparkSubmitArguments(
            CollectionConverters.asScala(new ArrayList<>(arguments)).toSeq(),
            // Spark asks for the settings of a YARN cluster to be there.
            Map$.MODULE$.from(CollectionConverters.asScala(Map.of("HADOOP_CONF_DIR", "/"))));
    assertEquals(Main.class.getName(), read.mainClass());
    return read;
  }

  /** The arguments of the application that was submitted. */
  static List<String> application(SparkSubmitArguments submit) {
    return List.copyOf(CollectionConverters.asJava(submit.childArgs()));
  }
}
