PRAGMA application_id = 1819045222;
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE answers (
        answer INTEGER PRIMARY KEY, run INTEGER NOT NULL, task INTEGER NOT NULL, attempt INTEGER NOT NULL,
        number INTEGER NOT NULL, output NOT NULL, text, messages NOT NULL, finish_reason TEXT NOT NULL,
        model TEXT NOT NULL, answered_by TEXT NOT NULL, endpoint TEXT NOT NULL, input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL, cached_input_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL, usage_estimated INTEGER NOT NULL, duration REAL NOT NULL,
        first_token REAL, request_id TEXT NOT NULL, key TEXT NOT NULL, created_at REAL NOT NULL, accepted INTEGER NOT NULL DEFAULT 1, parts TEXT NOT NULL DEFAULT '{}',
        UNIQUE (run, task, attempt));
INSERT INTO "answers" VALUES(1,1,0,1,1,'"A"',NULL,'[{"role":"user","content":"Go to Rome"}]','stop','mock/m','m','',3,1,0,0,0,1,3.74846000340767204761e-04,NULL,'','280cc600c78258f3091565b028df5edc55c7b8a2fb34dff4710281174685bf00',1.79590275534778666495e+09,1,'{"model":"0cb5f0587f54","input":"f6e5c7363856","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"9c71a22fa74c"}');
INSERT INTO "answers" VALUES(2,1,5,4,1,'"X"',NULL,'[{"role":"user","content":"x of A"}]','stop','mock/m','m','',2,1,0,0,0,1,2.76538000434811692684e-04,NULL,'','c528f7a3ebd108bde116eb025ddf2454bb3464bb76e7e3b900381b045b46c589',1.79590275535010671613e+09,1,'{"model":"0cb5f0587f54","input":"bf7a608dc166","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(3,1,6,5,1,'"Y"',NULL,'[{"role":"user","content":"y of A"}]','stop','mock/m','m','',2,1,0,0,0,1,1.35729999783507082611e-04,NULL,'','2e35c95658774c8654acceff8b3871df1da5461cff0e00bf18ea504fb7568890',1.79590275535035467143e+09,1,'{"model":"0cb5f0587f54","input":"770452626481","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(4,1,7,6,1,'"Z"',NULL,'[{"role":"user","content":"z of A"}]','stop','mock/m','m','',2,1,0,0,0,1,1.06532000245351810008e-04,NULL,'','2e1fa95797b380eeffabaeeefbf72e30a1394268488a901d96c155b22a040a87',1.79590275535053634642e+09,1,'{"model":"0cb5f0587f54","input":"8092cdc0ebcc","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(5,1,3,7,1,'"B"',NULL,'[{"role":"user","content":"two A"}]','stop','mock/m','m','',1,1,0,0,0,1,2.64352000158396549522e-04,NULL,'','15c7cf2f2e7b57280df2f1b95bc4e5f1bc4389c2bccf5f237aa0f0f9aeb755ce',1795902755.35957,1,'{"model":"0cb5f0587f54","input":"33f5a9d62808","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"07ad79748e7a"}');
INSERT INTO "answers" VALUES(6,1,4,8,1,'"C"',NULL,'[{"role":"user","content":"three B"}]','stop','mock/m','m','',2,1,0,0,0,1,2.44656000177201349288e-04,NULL,'','1113624904d1c5c462aeef182dbc9cd29e9d4c46ac426a7d624c5413e0fe088b',1.79590275536083626749e+09,1,'{"model":"0cb5f0587f54","input":"8858d30fd921","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"da24b599fabd"}');
INSERT INTO "answers" VALUES(7,2,0,1,1,'"A"',NULL,'[{"role":"user","content":"Go to Rome"}]','stop','mock/m','m','',3,1,0,0,0,1,4.32640000326500739902e-04,NULL,'','280cc600c78258f3091565b028df5edc55c7b8a2fb34dff4710281174685bf00',1.79590275816406583784e+09,1,'{"model":"0cb5f0587f54","input":"f6e5c7363856","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"9c71a22fa74c"}');
INSERT INTO "answers" VALUES(8,2,5,4,1,'"X"',NULL,'[{"role":"user","content":"x of A"}]','stop','mock/m','m','',2,1,0,0,0,1,4.35330999607685953378e-04,NULL,'','c528f7a3ebd108bde116eb025ddf2454bb3464bb76e7e3b900381b045b46c589',1.7959027581839575767e+09,1,'{"model":"0cb5f0587f54","input":"bf7a608dc166","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(9,2,6,5,1,'"Y"',NULL,'[{"role":"user","content":"y of A"}]','stop','mock/m','m','',2,1,0,0,0,1,2.06862000595720019191e-04,NULL,'','2e35c95658774c8654acceff8b3871df1da5461cff0e00bf18ea504fb7568890',1.79590275818434429166e+09,1,'{"model":"0cb5f0587f54","input":"770452626481","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(10,2,7,6,1,'"Z"',NULL,'[{"role":"user","content":"z of A"}]','stop','mock/m','m','',2,1,0,0,0,1,1.70370999512670096009e-04,NULL,'','2e1fa95797b380eeffabaeeefbf72e30a1394268488a901d96c155b22a040a87',1.79590275818462562565e+09,1,'{"model":"0cb5f0587f54","input":"8092cdc0ebcc","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(11,3,0,1,1,'"A"',NULL,'[{"role":"user","content":"Go to Rome"}]','stop','mock/m','m','',3,1,0,0,0,1,3.51542999851517379283e-04,NULL,'','280cc600c78258f3091565b028df5edc55c7b8a2fb34dff4710281174685bf00',1.79590276139238619801e+09,1,'{"model":"0cb5f0587f54","input":"f6e5c7363856","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"9c71a22fa74c"}');
INSERT INTO "answers" VALUES(12,3,5,4,1,'"X"',NULL,'[{"role":"user","content":"x of A"}]','stop','mock/m','m','',2,1,0,0,0,1,2.15862000004563014954e-04,NULL,'','c528f7a3ebd108bde116eb025ddf2454bb3464bb76e7e3b900381b045b46c589',1.79590276139426851271e+09,1,'{"model":"0cb5f0587f54","input":"bf7a608dc166","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(13,3,6,5,1,'"Y"',NULL,'[{"role":"user","content":"y of A"}]','stop','mock/m','m','',2,1,0,0,0,1,1.12155999886454083025e-04,NULL,'','2e35c95658774c8654acceff8b3871df1da5461cff0e00bf18ea504fb7568890',1.79590276139449810978e+09,1,'{"model":"0cb5f0587f54","input":"770452626481","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(14,3,7,6,1,'"Z"',NULL,'[{"role":"user","content":"z of A"}]','stop','mock/m','m','',2,1,0,0,0,1,1.0030900011770427227e-04,NULL,'','2e1fa95797b380eeffabaeeefbf72e30a1394268488a901d96c155b22a040a87',1.79590276139466643338e+09,1,'{"model":"0cb5f0587f54","input":"8092cdc0ebcc","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
CREATE TABLE kinds (kind INTEGER PRIMARY KEY, name TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE (name, fields));
INSERT INTO "kinds" VALUES(1,'RunStarted','["at"]');
INSERT INTO "kinds" VALUES(2,'RunResumed','["at"]');
INSERT INTO "kinds" VALUES(3,'AttemptSucceeded','["at", "task", "attempt", "outcome"]');
INSERT INTO "kinds" VALUES(4,'AttemptFailed','["at", "task", "attempt", "kind", "detail", "retry_after", "retryable"]');
INSERT INTO "kinds" VALUES(5,'AttemptCancelled','["at", "task", "attempt", "reason"]');
INSERT INTO "kinds" VALUES(6,'TasksAdded','["at", "parent", "first", "size"]');
INSERT INTO "kinds" VALUES(7,'ItemsClosed','["at", "parent", "problem"]');
INSERT INTO "kinds" VALUES(8,'TimerFired','["at", "timer"]');
INSERT INTO "kinds" VALUES(9,'AlarmRang','["at"]');
INSERT INTO "kinds" VALUES(10,'ApprovalGiven','["at", "task", "approved", "comment"]');
INSERT INTO "kinds" VALUES(11,'StopRequested','["at", "reason", "mode"]');
INSERT INTO "kinds" VALUES(12,'AttemptStarted','["at", "task", "attempt", "number", "pool", "endpoint", "worker", "candidate"]');
INSERT INTO "kinds" VALUES(13,'AttemptDoubled','["at", "task", "attempt", "copy"]');
INSERT INTO "kinds" VALUES(14,'TimerSet','["at", "timer", "task", "due", "cause"]');
INSERT INTO "kinds" VALUES(15,'AlarmSet','["at", "due"]');
INSERT INTO "kinds" VALUES(16,'CancelRequested','["at", "task", "attempt", "reason"]');
INSERT INTO "kinds" VALUES(17,'TaskSucceeded','["at", "task"]');
INSERT INTO "kinds" VALUES(18,'TaskFailed','["at", "task", "kind", "detail", "accepted"]');
INSERT INTO "kinds" VALUES(19,'TaskSkipped','["at", "task"]');
INSERT INTO "kinds" VALUES(20,'TaskBlocked','["at", "task", "cause"]');
INSERT INTO "kinds" VALUES(21,'TaskCancelled','["at", "task", "reason"]');
INSERT INTO "kinds" VALUES(22,'RunPaused','["at", "reason"]');
INSERT INTO "kinds" VALUES(23,'RunFinished','["at", "status"]');
CREATE TABLE runs (
        run INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, pipeline TEXT NOT NULL, path TEXT NOT NULL,
        source TEXT NOT NULL REFERENCES sources (sha256), started_at REAL NOT NULL, policy TEXT NOT NULL,
        workers INTEGER, seed INTEGER NOT NULL, inputs NOT NULL, options NOT NULL, pools NOT NULL, forecast,
        version TEXT NOT NULL, status TEXT NOT NULL, finished_at REAL, makespan REAL, summary);
INSERT INTO "runs" VALUES(1,'01M8J2AMDMRQT75B6035HVPR3Y','upgraded','@FOLDER@/p.yaml','a4b7f95505c6df3123e9ff1bad37ec9c46f98bc4cf50b961762634c0341df4d0',1.79590275525257658958e+09,'stochastic',NULL,0,'{"place":"Rome"}','{"inputs":[],"workers":null,"policy":null,"models":[],"fail_fast":false,"only":[],"start":[],"until":[]}','[["mock",null,[]]]','{"tokens":null,"timeouts":{},"decision":{"order":"critical-path","reason":"there is a worker for every task: the order does not matter","samples":0,"evidence":[]}}','0.1.0','succeeded',1.79590275538915681834e+09,2.17770250001194654032e-02,'{"schema":"llmflow.run/1","run":"01M8J2AMDMRQT75B6035HVPR3Y","status":"succeeded","outputs":{"all":"A! X Y Z C"},"makespan":0.021777025000119465,"lower_bound":0.021097075999932713,"lower_bound_kind":"critical path","ratio":1.0322295374102517,"fifo_makespan":0.021097075999932713,"critical_path":["a","each[z]","each","b","c"],"pools":[{"name":"mock","workers":null,"busy":0.02470352499949513,"utilisation":0.37812824906615433,"used":[{"worker":0,"busy":0.020692844999757654,"utilisation":0.9502145035717292},{"worker":1,"busy":0.0019163879996995092,"utilisation":0.0880004500012741},{"worker":2,"busy":0.0020942920000379672,"utilisation":0.09616979362545978}]}],"second_calls":{"made":0,"answered_first":0},"tasks":{"a":{"status":"succeeded","attempts":1,"duration":0.008680824999828474,"started":6.114400002843468e-05,"finished":0.008741968999856908,"usage":{"input_tokens":3,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each":{"status":"succeeded","attempts":3,"duration":0.005700740999600384,"started":0.008741968999856908,"finished":0.011455066000053193,"items":{"succeeded":3},"usage":{"input_tokens":6,"output_tokens":3,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"shape":{"status":"succeeded","attempts":1,"duration":0.0,"started":0.008741968999856908,"finished":0.00897396199979994},"b":{"status":"succeeded","attempts":1,"duration":0.009059983000042848,"started":0.011455066000053193,"finished":0.02051504900009604,"usage":{"input_tokens":1,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"c":{"status":"succeeded","attempts":1,"duration":0.0012619760000234237,"started":0.02051504900009604,"finished":0.021777025000119465,"usage":{"input_tokens":2,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}}},"usage":{"input_tokens":12,"output_tokens":6,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true},"cost_usd":null,"time":{"makespan":0.021777025,"columns":{"model":0.000990386,"code":0.0,"failed":0.0,"asked_again":0.0,"dependency":0.0,"worker":0.0,"rate_limit":0.0,"backoff":0.0,"approval":0.0,"llmflow":0.020786639},"path":[{"task":"a","seconds":{"model":0.000374846,"llmflow":0.008367123}},{"task":"each","seconds":{"llmflow":0.000603658}},{"task":"each[z]","seconds":{"model":0.000106532,"llmflow":0.002002907}},{"task":"b","seconds":{"model":0.000264352,"llmflow":0.008795631}},{"task":"c","seconds":{"model":0.000244656,"llmflow":0.00101732}}]},"resumed":false,"answers_reused":0,"loop_lag":0.0,"ranks_renewed":0}');
INSERT INTO "runs" VALUES(2,'01M8J2AQ4MGR6ST8EYF03WBN3F','upgraded','@FOLDER@/p.yaml','5f7760406197f72efcad682a2cef85c1ee73cf31375cbbda64a71cb952b15e52',1.79590275803654122349e+09,'stochastic',NULL,0,'{"place":"Rome"}','{"inputs":[],"workers":null,"policy":null,"models":[],"fail_fast":false,"only":[],"start":[],"until":[]}','[["mock",null,[]]]','{"makespan":0.0010451799564664683,"samples":0,"p10":null,"p50":null,"p90":null,"tokens":{"p10":11.215844595971733,"p50":16.432652933044174,"p90":22.82890850271883},"timeouts":{},"decision":{"order":"critical-path","reason":"there is a worker for every task: the order does not matter","samples":0,"evidence":[]}}','0.1.0','failed',1795902758.24542,4.87580200006050290539e-02,'{"schema":"llmflow.run/1","run":"01M8J2AQ4MGR6ST8EYF03WBN3F","status":"failed","outputs":{"all":null},"makespan":0.04875802000060503,"lower_bound":0.046990570000161824,"lower_bound_kind":"critical path","ratio":1.0376128657395967,"fifo_makespan":0.046990570000161824,"critical_path":["a","each[z]","each","b"],"pools":[{"name":"mock","workers":null,"busy":0.08371517199975642,"utilisation":0.5723172789400773,"used":[{"worker":0,"busy":0.04635815899928275,"utilisation":0.9507801793162951},{"worker":1,"busy":0.018534572000135086,"utilisation":0.3801338118304454},{"worker":2,"busy":0.018822441000338586,"utilisation":0.3860378456734917}]}],"second_calls":{"made":0,"answered_first":0},"tasks":{"a":{"status":"succeeded","attempts":1,"duration":0.002755247000095551,"started":8.876400079316227e-05,"finished":0.002844011000888713,"usage":{"input_tokens":3,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each":{"status":"succeeded","attempts":3,"duration":0.05554704299993318,"started":0.002844011000888713,"finished":0.02334513800087734,"items":{"succeeded":3},"usage":{"input_tokens":6,"output_tokens":3,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"shape":{"status":"succeeded","attempts":1,"duration":0.0,"started":0.002844011000888713,"finished":0.0038984790007816628},"b":{"status":"failed","attempts":1,"duration":0.025412881999727688,"started":0.02334513800087734,"finished":0.04875802000060503,"error":{"kind":"server","detail":"a scripted failure of the task ''b''","accepted":false}},"c":{"status":"blocked","attempts":0,"duration":0.0,"started":null,"finished":0.04875802000060503}},"usage":{"input_tokens":9,"output_tokens":4,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true},"cost_usd":null,"time":{"makespan":0.04875802,"columns":{"model":0.000603011,"code":0.0,"failed":0.025412882,"asked_again":0.0,"dependency":0.0,"worker":0.0,"rate_limit":0.0,"backoff":0.0,"approval":0.0,"llmflow":0.022742127},"path":[{"task":"a","seconds":{"model":0.00043264,"llmflow":0.002411371}},{"task":"each","seconds":{"llmflow":0.001653307}},{"task":"each[z]","seconds":{"model":0.000170371,"llmflow":0.018677449}},{"task":"b","seconds":{"failed":0.025412882}}]},"resumed":false,"answers_reused":0,"loop_lag":0.0,"ranks_renewed":0}');
INSERT INTO "runs" VALUES(3,'01M8J2ATAXCC1S6XNS9TWQDBTK','upgraded','@FOLDER@/p.yaml','b66611ac6d4a364a3278fd9a2d502349808e6e7e5d51f1154aae5b5c3818a7ba',1.79590276130927085874e+09,'stochastic',NULL,0,'{"place":"Rome"}','{"inputs":[],"workers":null,"policy":null,"models":[],"fail_fast":false,"only":[],"start":[],"until":[]}','[["mock",null,[]]]','{"makespan":0.0011352149648221168,"samples":0,"p10":null,"p50":null,"p90":null,"tokens":{"p10":13.885059608023115,"p50":17.02928984620081,"p90":21.041511104232153},"timeouts":{},"decision":{"order":"critical-path","reason":"there is a worker for every task: the order does not matter","samples":0,"evidence":[]}}','0.1.0','running',NULL,NULL,NULL);
CREATE TABLE samples (
        sample INTEGER PRIMARY KEY, series INTEGER NOT NULL, run INTEGER NOT NULL, item TEXT, number INTEGER NOT NULL,
        outcome TEXT NOT NULL, duration REAL NOT NULL, started_at REAL NOT NULL, concurrency INTEGER NOT NULL,
        prompt_chars INTEGER, input_tokens INTEGER, output_tokens INTEGER, first_token REAL);
INSERT INTO "samples" VALUES(1,1,1,NULL,1,'succeeded',3.74846000340767204761e-04,1.79590275526079893109e+09,1,10,3,1,NULL);
INSERT INTO "samples" VALUES(2,2,1,'x',1,'succeeded',2.76538000434811692684e-04,1.79590275526323556905e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(3,2,1,'y',1,'succeeded',1.35729999783507082611e-04,1.79590275526365637783e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(4,2,1,'z',1,'succeeded',1.06532000245351810008e-04,1.79590275526386976244e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(5,3,1,NULL,1,'succeeded',2.64352000158396549522e-04,1.79590275527271604535e+09,1,5,1,1,NULL);
INSERT INTO "samples" VALUES(6,4,1,NULL,1,'succeeded',2.44656000177201349288e-04,1.79590275527400207522e+09,1,7,2,1,NULL);
INSERT INTO "samples" VALUES(7,1,2,NULL,1,'succeeded',4.32640000326500739902e-04,1.79590275803873562808e+09,1,10,3,1,NULL);
INSERT INTO "samples" VALUES(8,2,2,'x',1,'succeeded',4.35330999607685953378e-04,1.79590275805862426752e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(9,2,2,'y',1,'succeeded',2.06862000595720019191e-04,1.79590275805929851533e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(10,2,2,'z',1,'succeeded',1.70370999512670096009e-04,1.7959027580596210957e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(11,3,2,NULL,1,'server',2.54128819997276877984e-02,1.79590275805988645548e+09,1,NULL,NULL,NULL,NULL);
INSERT INTO "samples" VALUES(12,1,3,NULL,1,'succeeded',3.51542999851517379283e-04,1.79590276131575846672e+09,1,10,3,1,NULL);
INSERT INTO "samples" VALUES(13,2,3,'x',1,'succeeded',2.15862000004563014954e-04,1.79590276131782150266e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(14,2,3,'y',1,'succeeded',1.12155999886454083025e-04,1.7959027613181769848e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(15,2,3,'z',1,'succeeded',1.0030900011770427227e-04,1.79590276131835961345e+09,1,6,2,1,NULL);
CREATE TABLE series (
        series INTEGER PRIMARY KEY, pipeline TEXT NOT NULL, task TEXT NOT NULL, model TEXT NOT NULL,
        kind TEXT NOT NULL, endpoint TEXT NOT NULL, template TEXT NOT NULL,
        UNIQUE (pipeline, task, model, kind, endpoint, template));
INSERT INTO "series" VALUES(1,'upgraded','a','mock/m','mock','','9c71a22fa74c1630');
INSERT INTO "series" VALUES(2,'upgraded','each','mock/m','mock','','3487dfd31346058f');
INSERT INTO "series" VALUES(3,'upgraded','b','mock/m','mock','','07ad79748e7a8a05');
INSERT INTO "series" VALUES(4,'upgraded','c','mock/m','mock','','da24b599fabd6b78');
CREATE TABLE sources (sha256 TEXT PRIMARY KEY, text NOT NULL) WITHOUT ROWID;
INSERT INTO "sources" VALUES('5f7760406197f72efcad682a2cef85c1ee73cf31375cbbda64a71cb952b15e52','name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: {error: server}, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join('' '') }} {{ tasks.c.output }}"}
');
INSERT INTO "sources" VALUES('a4b7f95505c6df3123e9ff1bad37ec9c46f98bc4cf50b961762634c0341df4d0','name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: B, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join('' '') }} {{ tasks.c.output }}"}
');
INSERT INTO "sources" VALUES('b66611ac6d4a364a3278fd9a2d502349808e6e7e5d51f1154aae5b5c3818a7ba','name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: {text: B, delay: 60}, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join('' '') }} {{ tasks.c.output }}"}
');
CREATE TABLE stretches (
    run INTEGER NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, failed INTEGER NOT NULL,
    times BLOB NOT NULL, events NOT NULL, PRIMARY KEY (run, seq)) WITHOUT ROWID;
INSERT INTO "stretches" VALUES(1,2,6.11440000284346751868e-05,0,X'000000EC4D07103F000000EC4D07103F','[[1],[12,0,1,1,0,0,0,0]]');
INSERT INTO "stretches" VALUES(1,14,9.36077400001522619277e-03,0,X'0000A8374FE7813F0000A8374FE7813F0000A8374FE7813F0000A8374FE7813F000028D6CB4A823F000070CAF060823F000070CAF060823F000098D2CC23833F000090D1BD2B833F000090D1BD2B833F000090D1BD2B833F000090D1BD2B833F','[[3,0,1,"done"],[17,0],[12,1,2,1,-1,0,0,0],[12,2,3,1,-1,0,0,0],[3,1,2,"expand"],[3,2,3,"done"],[17,2],[6,1,5,3],[7,1,""],[12,5,4,1,0,0,0,0],[12,6,5,1,0,0,1,0],[12,7,6,1,0,0,2,0]]');
INSERT INTO "stretches" VALUES(1,22,1.14550660000531934201e-02,0,X'000058F7D1A1863F000058F7D1A1863F0000D80F7B18873F0000D80F7B18873F0000C0EEC075873F0000C0EEC075873F0000C0EEC075873F0000C0EEC075873F','[[3,5,4,"done"],[17,5],[3,6,5,"done"],[17,6],[3,7,6,"done"],[17,7],[17,1],[12,3,7,1,0,0,0,0]]');
INSERT INTO "stretches" VALUES(1,25,2.05150490000960417091e-02,0,X'000020A2E501953F000020A2E501953F000020A2E501953F','[[3,3,7,"done"],[17,3],[12,4,8,1,0,0,0,0]]');
INSERT INTO "stretches" VALUES(1,28,2.17770250001194654032e-02,0,X'0000B868B74C963F0000B868B74C963F0000B868B74C963F','[[3,4,8,"done"],[17,4],[23,"succeeded"]]');
INSERT INTO "stretches" VALUES(2,2,8.87640007931622676551e-05,0,X'000000ECD944173F000000ECD944173F','[[1],[12,0,1,1,0,0,0,0]]');
INSERT INTO "stretches" VALUES(2,6,2.84401100088871316984e-03,0,X'0000A0C7524C673F0000A0C7524C673F0000A0C7524C673F0000A0C7524C673F','[[3,0,1,"done"],[17,0],[12,1,2,1,-1,0,0,0],[12,2,3,1,-1,0,0,0]]');
INSERT INTO "stretches" VALUES(2,14,4.52269700053875567391e-03,0,X'0000000B0D5C6F3F000000FAB3EF6F3F000000FAB3EF6F3F0000B09BC76B723F0000503B6486723F0000503B6486723F0000503B6486723F0000503B6486723F','[[3,1,2,"expand"],[3,2,3,"done"],[17,2],[6,1,5,3],[7,1,""],[12,5,4,1,0,0,0,0],[12,6,5,1,0,0,1,0],[12,7,6,1,0,0,2,0]]');
INSERT INTO "stretches" VALUES(2,22,2.33451380008773412555e-02,0,X'0000AC4E0142973F0000AC4E0142973F00002C21539C973F00002C21539C973F0000F0B0C9E7973F0000F0B0C9E7973F0000F0B0C9E7973F0000F0B0C9E7973F','[[3,5,4,"done"],[17,5],[3,6,5,"done"],[17,6],[3,7,6,"done"],[17,7],[17,1],[12,3,7,1,0,0,0,0]]');
INSERT INTO "stretches" VALUES(2,26,4.87580200006050290539e-02,1,X'0000A4AACFF6A83F0000A4AACFF6A83F0000A4AACFF6A83F0000A4AACFF6A83F','[[4,3,7,"server","a scripted failure of the task ''b''",null,true],[18,3,"server","a scripted failure of the task ''b''",false],[20,4,3],[23,"failed"]]');
INSERT INTO "stretches" VALUES(3,2,4.86410008306847885251e-05,0,X'000000107C80093F000000107C80093F','[[1],[12,0,1,1,0,0,0,0]]');
INSERT INTO "stretches" VALUES(3,14,7.56328700026642763987e-03,0,X'0000C0A573B07C3F0000C0A573B07C3F0000C0A573B07C3F0000C0A573B07C3F00003024ED677D3F0000B02559917D3F0000B02559917D3F0000B0BD06EC7E3F00001065AEFA7E3F00001065AEFA7E3F00001065AEFA7E3F00001065AEFA7E3F','[[3,0,1,"done"],[17,0],[12,1,2,1,-1,0,0,0],[12,2,3,1,-1,0,0,0],[3,1,2,"expand"],[3,2,3,"done"],[17,2],[6,1,5,3],[7,1,""],[12,5,4,1,0,0,0,0],[12,6,5,1,0,0,1,0],[12,7,6,1,0,0,2,0]]');
INSERT INTO "stretches" VALUES(3,22,9.24874000065756263211e-03,0,X'00005851FB2E823F00005851FB2E823F0000687ED795823F0000687ED795823F0000A8DE00F1823F0000A8DE00F1823F0000A8DE00F1823F0000A8DE00F1823F','[[3,5,4,"done"],[17,5],[3,6,5,"done"],[17,6],[3,7,6,"done"],[17,7],[17,1],[12,3,7,1,0,0,0,0]]');
CREATE TABLE tasks (
        run INTEGER NOT NULL, task INTEGER NOT NULL, name TEXT NOT NULL, item TEXT, kind TEXT NOT NULL,
        model TEXT NOT NULL, dependencies TEXT NOT NULL, PRIMARY KEY (run, task)) WITHOUT ROWID;
INSERT INTO "tasks" VALUES(1,0,'a',NULL,'model','mock/m','[]');
INSERT INTO "tasks" VALUES(1,1,'each',NULL,'foreach','','[0]');
INSERT INTO "tasks" VALUES(1,2,'shape',NULL,'value','','[0]');
INSERT INTO "tasks" VALUES(1,3,'b',NULL,'model','mock/m','[0, 1]');
INSERT INTO "tasks" VALUES(1,4,'c',NULL,'model','mock/m','[3]');
INSERT INTO "tasks" VALUES(1,5,'each','x','model','mock/m','[]');
INSERT INTO "tasks" VALUES(1,6,'each','y','model','mock/m','[]');
INSERT INTO "tasks" VALUES(1,7,'each','z','model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,0,'a',NULL,'model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,1,'each',NULL,'foreach','','[0]');
INSERT INTO "tasks" VALUES(2,2,'shape',NULL,'value','','[0]');
INSERT INTO "tasks" VALUES(2,3,'b',NULL,'model','mock/m','[0, 1]');
INSERT INTO "tasks" VALUES(2,4,'c',NULL,'model','mock/m','[3]');
INSERT INTO "tasks" VALUES(2,5,'each','x','model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,6,'each','y','model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,7,'each','z','model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,0,'a',NULL,'model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,1,'each',NULL,'foreach','','[0]');
INSERT INTO "tasks" VALUES(3,2,'shape',NULL,'value','','[0]');
INSERT INTO "tasks" VALUES(3,3,'b',NULL,'model','mock/m','[0, 1]');
INSERT INTO "tasks" VALUES(3,4,'c',NULL,'model','mock/m','[3]');
INSERT INTO "tasks" VALUES(3,5,'each','x','model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,6,'each','y','model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,7,'each','z','model','mock/m','[]');
CREATE INDEX runs_of_pipeline ON runs (pipeline, started_at);
CREATE INDEX answers_by_key ON answers (key) WHERE key <> '';
CREATE INDEX series_of_model ON series (model);
CREATE INDEX samples_of_series ON samples (series, outcome, started_at);
COMMIT;
