package dev.bulkgen.spark.deploy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.cli.Main;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.SecurityManager;
import org.apache.spark.SparkConf;
import org.apache.spark.deploy.k8s.KubernetesExecutorConf;
import org.apache.spark.internal.config.package$;
import org.apache.spark.resource.ResourceProfile$;
import org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBuilder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import scala.Option;

class TestKubernetes {

  private static Map<String, Object> schemas(String resource) throws Exception {
    try (InputStream in = TestKubernetes.class.getResourceAsStream("/crd/" + resource)) {
      String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      return map(DeployFiles.yaml(text).get(0).get("kinds"));
    }
  }

  @SuppressWarnings("unchecked") // YAML's maps have texts for keys
  private static Map<String, Object> map(Object value) {
    return (Map<String, Object>) value;
  }

  private static List<String> mistakes(String text, String resource) throws Exception {
    Map<String, Object> schemas = schemas(resource);
    List<String> mistakes = new ArrayList<>();
    for (Map<String, Object> document : DeployFiles.yaml(text)) {
      Map<String, Object> schema = map(schemas.get((String) document.get("kind")));
      assertTrue(schema != null, "kind " + document.get("kind"));
      mistakes.addAll(SchemaCheck.mistakes(document, schema));
    }
    return mistakes;
  }

  @ParameterizedTest
  @CsvSource({
    "spark-application.yaml, sparkoperator.k8s.io-v1beta2.yaml",
    "scheduled-spark-application.yaml, sparkoperator.k8s.io-v1beta2.yaml",
    "apache-spark-application.yaml, spark.apache.org-v1.yaml",
    "service-account.yaml, core.yaml"
  })
  void testFilesFitTheirSchema(String file, String schema) throws Exception {
    assertEquals(List.of(), mistakes(DeployFiles.text("deploy/kubernetes/" + file), schema));
  }

  @Test
  void testTheCheckFindsMistakes() throws Exception {
    String text = DeployFiles.text("deploy/kubernetes/spark-application.yaml");
    for (String[] change :
        new String[][] {
          {"mainClass:", "mainclass:"},
          {"type: Java", "type: Jav"},
          {"instances: 8", "instances: 0"},
          {"cores: 2", "cores: two"},
          {"sparkVersion: 4.2.0", "image: x"}
        }) {
      String changed = text.replace(change[0], change[1]);
      assertFalse(mistakes(changed, "sparkoperator.k8s.io-v1beta2.yaml").isEmpty(), change[1]);
    }
  }

  /** What the operators hand to spark-submit is right too. */
  @ParameterizedTest
  @CsvSource({
    "spark-application.yaml",
    "scheduled-spark-application.yaml",
    "apache-spark-application.yaml"
  })
  void testSettingsAndArguments(String file) throws Exception {
    Map<String, Object> spec =
        map(DeployFiles.yaml(DeployFiles.text("deploy/kubernetes/" + file)).get(0).get("spec"));
    spec = spec.containsKey("template") ? map(spec.get("template")) : spec;
    Map<String, String> conf = new HashMap<>();
    map(spec.get("sparkConf")).forEach((name, value) -> conf.put(name, String.valueOf(value)));
    TestSparkProperties.check(conf);
    assertEquals(Main.class.getName(), spec.get("mainClass"));
    List<?> arguments = (List<?>) spec.getOrDefault("arguments", spec.get("driverArgs"));
    CommandLines.check(arguments.stream().map(String::valueOf).toList());
    // The same pods, whichever way they are asked for.
    Map<String, String> submit = DeployFiles.properties("conf/spark-kubernetes.properties");
    for (String name : conf.keySet()) {
      if (submit.containsKey(name) && !name.endsWith(".image")) {
        assertEquals(submit.get(name), conf.get(name), name);
      }
    }
  }

  /** The pod that Spark itself makes of the settings and the template. */
  @Test
  void testPodOfAnExecutor() {
    Map<String, String> properties = DeployFiles.properties("conf/spark-kubernetes.properties");
    String template = properties.get("spark.kubernetes.executor.podTemplateFile");
    SparkConf conf =
        DeployFiles.sparkConf(properties)
            .set(
                "spark.kubernetes.executor.podTemplateFile",
                // Spark reads the setting as a URI, which a checkout's path with a space is not.
                DeployFiles.ROOT.resolve(template).toUri().toString())
            .set("spark.app.name", "bulkgen")
            .set("spark.driver.host", "driver")
            .set("spark.driver.port", "7078");
    try (KubernetesClient client = new KubernetesClientBuilder().build()) {
      var pod =
          new KubernetesExecutorBuilder()
              .buildFromFeatures(
                  new KubernetesExecutorConf(conf, "app", "1", Option.empty(), 0),
                  new SecurityManager(conf, Option.empty(), package$.MODULE$.AUTH_SECRET_FILE()),
                  client,
                  ResourceProfile$.MODULE$.reInitDefaultProfile(conf))
              .pod();
      PodSpec spec = pod.pod().getSpec();
      Container container = pod.container();
      var limits = container.getResources().getLimits();
      assertEquals("1", limits.get("nvidia.com/gpu").getAmount());
      // 8 GiB of heap and 16 GiB beside it.
      assertEquals("24576Mi", limits.get("memory").toString());
      assertEquals("4", container.getResources().getRequests().get("cpu").getAmount());
      assertEquals("spark-kubernetes-executor", container.getName());
      assertTrue(spec.getTolerations().stream().anyMatch(t -> "nvidia.com/gpu".equals(t.getKey())));
      assertTrue(
          container.getVolumeMounts().stream()
              .anyMatch(
                  mount ->
                      mount.getMountPath().equals(properties.get("spark.bulkgen.model-cache"))),
          container.getVolumeMounts().toString());
    } finally {
      ResourceProfile$.MODULE$.clearDefaultProfile();
    }
  }
}
